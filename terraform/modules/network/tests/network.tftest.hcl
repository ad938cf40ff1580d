# terraform test: nothing is made, the provider's answers are invented.
mock_provider "aws" {}

variables {
  name               = "web"
  availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
}

run "each_zone_has_two_subnets_that_do_not_overlap" {
  command = plan

  assert {
    condition     = [for zone in var.availability_zones : aws_subnet.public[zone].cidr_block] == ["10.0.0.0/20", "10.0.16.0/20", "10.0.32.0/20"]
    error_message = "Public subnets are the first parts of the block."
  }

  assert {
    condition     = [for zone in var.availability_zones : aws_subnet.private[zone].cidr_block] == ["10.0.128.0/20", "10.0.144.0/20", "10.0.160.0/20"]
    error_message = "Private subnets are the parts from the eighth on."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "No instance gets a public address by itself."
  }
}

run "one_gateway_serves_all_zones" {
  command = apply

  assert {
    condition     = keys(aws_nat_gateway.this) == ["eu-west-1a"]
    error_message = "There is one gateway, in the first zone."
  }

  assert {
    condition     = toset([for route in aws_route.nat : route.nat_gateway_id]) == toset([aws_nat_gateway.this["eu-west-1a"].id])
    error_message = "Every private subnet's route leads to it."
  }

  assert {
    condition     = aws_nat_gateway.this["eu-west-1a"].subnet_id == aws_subnet.public["eu-west-1a"].id
    error_message = "The gateway is in a public subnet."
  }

  assert {
    condition     = output.private_subnet_ids == [for zone in var.availability_zones : aws_subnet.private[zone].id]
    error_message = "The outputs have the zones' order."
  }
}

run "each_zone_has_its_own_gateway" {
  command = apply

  variables {
    nat = "zonal"
  }

  assert {
    condition     = alltrue([for zone in var.availability_zones : aws_route.nat[zone].nat_gateway_id == aws_nat_gateway.this[zone].id])
    error_message = "A zone's route leads to the gateway in that zone."
  }
}

run "private_subnets_without_a_way_out" {
  command = plan

  variables {
    nat         = "none"
    s3_endpoint = false
  }

  assert {
    condition     = length(aws_nat_gateway.this) + length(aws_eip.nat) + length(aws_route.nat) + length(aws_vpc_endpoint.s3) == 0
    error_message = "There is no gateway, no address, no route and no endpoint."
  }
}

run "another_zone_moves_no_other" {
  command = plan

  variables {
    availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c", "eu-west-1d"]
  }

  assert {
    condition     = aws_subnet.private["eu-west-1c"].cidr_block == "10.0.160.0/20"
    error_message = "A zone that is appended leaves the others' addresses as they are."
  }
}

run "a_zone_twice" {
  command = plan

  variables {
    availability_zones = ["eu-west-1a", "eu-west-1a"]
  }

  expect_failures = [var.availability_zones]
}

run "host_bits" {
  command = plan

  variables {
    cidr_block = "10.0.7.0/16"
  }

  expect_failures = [var.cidr_block]
}

run "too_small_a_network" {
  command = plan

  variables {
    cidr_block = "10.0.0.0/28"
  }

  expect_failures = [var.cidr_block]
}

run "an_unknown_word" {
  command = plan

  variables {
    nat = "both"
  }

  expect_failures = [var.nat]
}
