locals {
  from_blocks = merge([
    for name, rule in var.ingress : {
      for block in rule.cidr_blocks : "${name}/${block}" => merge(rule, { name = name, cidr_block = block })
    }
  ]...)

  # By number, since a group's id may be known only after apply.
  from_groups = merge([
    for name, rule in var.ingress : {
      for index in range(length(rule.security_group_ids)) :
      "${name}/${index}" => merge(rule, { name = name, security_group_id = rule.security_group_ids[index] })
    }
  ]...)
}

resource "aws_security_group" "instances" {
  name_prefix = "${var.name}-"
  description = "Instances of the fleet ${var.name}"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "blocks" {
  for_each = local.from_blocks

  security_group_id = aws_security_group.instances.id
  description       = each.value.name
  ip_protocol       = each.value.protocol
  from_port         = each.value.port
  to_port           = coalesce(each.value.to_port, each.value.port)
  cidr_ipv4         = each.value.cidr_block
}

resource "aws_vpc_security_group_ingress_rule" "groups" {
  for_each = local.from_groups

  security_group_id            = aws_security_group.instances.id
  description                  = each.value.name
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = coalesce(each.value.to_port, each.value.port)
  referenced_security_group_id = each.value.security_group_id
}

resource "aws_vpc_security_group_egress_rule" "instances" {
  security_group_id = aws_security_group.instances.id
  description       = "out to anywhere"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_iam_role" "this" {
  name_prefix = "${var.name}-"
  description = "Instances of the fleet ${var.name}"
  tags        = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

resource "aws_iam_instance_profile" "this" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.this.name
  tags        = local.tags
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = var.policy_arns

  role       = aws_iam_role.this.name
  policy_arn = each.value
}

resource "aws_iam_role_policy" "secrets" {
  count = length(var.secret_parameters) > 0 ? 1 : 0

  name = "secrets"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["ssm:GetParameter", "ssm:GetParameters"]
      Resource = var.secret_parameters
    }]
  })
}
