# terraform test: nothing is made, the provider's answers are invented.
mock_provider "aws" {
  mock_resource "aws_launch_template" {
    defaults = {
      id             = "lt-0123456789abcdef0"
      latest_version = 7
    }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = {
      arn = "arn:aws:iam::111122223333:instance-profile/web"
    }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/web-lb/0123456789abcdef"
      arn_suffix = "app/web-lb/0123456789abcdef"
      dns_name   = "web-lb.example.org"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = {
      arn        = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/web-lb/0123456789abcdef"
      arn_suffix = "targetgroup/web-lb/0123456789abcdef"
    }
  }
}

variables {
  name       = "web"
  ami_id     = "ami-0123456789abcdef0"
  vpc_id     = "vpc-1"
  subnet_ids = ["subnet-1", "subnet-2"]
}

run "the_group_runs_a_numbered_version_with_an_explicit_image" {
  command = apply

  assert {
    condition     = aws_launch_template.this.image_id == "ami-0123456789abcdef0"
    error_message = "The image stands in the template as an id."
  }

  assert {
    condition     = aws_autoscaling_group.this.launch_template[0].version == "7"
    error_message = "The group names its version by number, not $Latest."
  }

  assert {
    condition     = length(aws_autoscaling_group.this.instance_refresh) == 0
    error_message = "Terraform starts no refresh of its own."
  }

  assert {
    condition     = aws_launch_template.this.metadata_options[0].http_tokens == "required"
    error_message = "Only IMDSv2."
  }

  assert {
    condition     = aws_launch_template.this.user_data == null && length(aws_launch_template.this.block_device_mappings) == 0
    error_message = "What is not given is the image's."
  }
}

run "without_a_balancer_there_is_none_of_its_parts" {
  command = apply

  assert {
    condition     = length(aws_lb.this) + length(aws_lb_listener.this) + length(aws_lb_target_group.this) + length(aws_security_group.balancer) == 0
    error_message = "No load balancer."
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "EC2" && output.url == null
    error_message = "EC2 tells the instances' health."
  }

  assert {
    condition     = output.alarm_names == ["web-cpu", "web-instances"]
    error_message = "Only the group's own alarms."
  }
}

run "with_a_balancer_only_it_reaches_the_instances" {
  command = apply

  variables {
    load_balancer = { subnet_ids = ["subnet-3", "subnet-4"], target_port = 8080 }
  }

  assert {
    condition     = aws_autoscaling_group.this.health_check_type == "ELB" && aws_autoscaling_group.this.target_group_arns == toset([aws_lb_target_group.this[0].arn])
    error_message = "Instances are healthy when they answer."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.from_balancer[0].referenced_security_group_id == aws_security_group.balancer[0].id && aws_vpc_security_group_ingress_rule.from_balancer[0].to_port == 8080
    error_message = "The instances let in the load balancer on its target port."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.blocks) + length(aws_vpc_security_group_ingress_rule.groups) == 0
    error_message = "They let in nobody else."
  }

  assert {
    condition     = aws_lb_listener.this[0].protocol == "HTTP" && output.url == "http://web-lb.example.org:80/"
    error_message = "Without a certificate it listens on 80."
  }

  assert {
    condition     = output.alarm_names == ["web-cpu", "web-errors", "web-instances", "web-unhealthy"]
    error_message = "The targets have alarms too."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["unhealthy"].dimensions == tomap({ LoadBalancer = "app/web-lb/0123456789abcdef", TargetGroup = "targetgroup/web-lb/0123456789abcdef" })
    error_message = "CloudWatch knows the load balancer by the end of its ARN."
  }
}

run "a_certificate_makes_it_https" {
  command = plan

  variables {
    load_balancer = {
      subnet_ids      = ["subnet-3", "subnet-4"]
      certificate_arn = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
    }
  }

  assert {
    condition     = aws_lb_listener.this[0].protocol == "HTTPS" && aws_lb_listener.this[0].port == 443
    error_message = "With a certificate it listens on 443."
  }
}

run "rules_one_for_each_source" {
  command = plan

  variables {
    ingress = {
      ssh   = { port = 22, cidr_blocks = ["10.0.0.0/16", "10.1.0.0/16"] }
      proof = { port = 9741, security_group_ids = ["sg-1"] }
    }
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.blocks) == ["ssh/10.0.0.0/16", "ssh/10.1.0.0/16"]
    error_message = "A rule for each block."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.groups["proof/0"].from_port == 9741 && aws_vpc_security_group_ingress_rule.groups["proof/0"].to_port == 9741
    error_message = "A rule for each group, for one port."
  }
}

run "user_data_of_exactly_16_kib_in_two_byte_characters" {
  command = plan

  variables {
    user_data = replace(format("%08192d", 0), "0", "é")
  }

  assert {
    condition     = length(aws_launch_template.this.user_data) == 21848
    error_message = "16384 bytes are 21848 characters of base64."
  }
}

run "user_data_of_one_byte_more" {
  command = plan

  variables {
    user_data = "a${replace(format("%08192d", 0), "0", "é")}"
  }

  expect_failures = [var.user_data]
}

run "user_data_in_base64_of_one_byte_more" {
  command = plan

  variables {
    user_data_base64 = base64encode(format("%016385d", 0))
  }

  expect_failures = [var.user_data_base64]
}

run "user_data_twice" {
  command = plan

  variables {
    user_data        = "{ }"
    user_data_base64 = "e30="
  }

  expect_failures = [aws_launch_template.this]
}

run "an_image_by_a_parameter" {
  command = plan

  variables {
    ami_id = "resolve:ssm:/invar/web"
  }

  expect_failures = [var.ami_id]
}

run "sizes_the_wrong_way_round" {
  command = plan

  variables {
    min_size = 5
    max_size = 4
  }

  expect_failures = [aws_autoscaling_group.this]
}

run "a_size_out_of_its_bounds" {
  command = plan

  variables {
    desired_size = 9
  }

  expect_failures = [aws_autoscaling_group.this]
}

run "a_rule_for_nobody" {
  command = plan

  variables {
    ingress = { ssh = { port = 22 } }
  }

  expect_failures = [var.ingress]
}

run "a_balancer_in_one_zone" {
  command = plan

  variables {
    load_balancer = { subnet_ids = ["subnet-3"] }
  }

  expect_failures = [var.load_balancer]
}

run "secrets_of_its_own_only" {
  command = plan

  variables {
    secret_parameters = ["arn:aws:ssm:eu-west-1:111122223333:parameter/production/database"]
    policy_arns       = { logs = "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy" }
    alarms            = null
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.secrets[0].policy).Statement[0].Resource == ["arn:aws:ssm:eu-west-1:111122223333:parameter/production/database"]
    error_message = "The role reads the parameters that are named."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0
    error_message = "alarms = null means none."
  }
}
