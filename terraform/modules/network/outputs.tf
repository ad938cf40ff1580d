output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "cidr_block" {
  description = "Its addresses."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets with a way to and from the internet, in the zones' order: for load balancers."
  value       = [for zone in var.availability_zones : aws_subnet.public[zone].id]

  # Nothing in these subnets works before the route is there.
  depends_on = [aws_route.internet, aws_route_table_association.public]
}

output "private_subnet_ids" {
  description = "Subnets that nobody reaches from outside, in the zones' order: for instances."
  value       = [for zone in var.availability_zones : aws_subnet.private[zone].id]

  depends_on = [aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.s3]
}

output "nat_addresses" {
  description = "Public addresses that private subnets are seen with from outside, for other parties' allow lists."
  value       = [for zone in local.nat_zones : aws_eip.nat[zone].public_ip]
}
