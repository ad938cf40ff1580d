resource "aws_security_group" "balancer" {
  count = local.balanced ? 1 : 0

  name_prefix = "${var.name}-lb-"
  description = "Load balancer of the fleet ${var.name}"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = toset(local.balanced ? var.load_balancer.allowed_cidr_blocks : [])

  security_group_id = aws_security_group.balancer[0].id
  description       = "requests"
  ip_protocol       = "tcp"
  from_port         = local.port
  to_port           = local.port
  cidr_ipv4         = each.value
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  count = local.balanced ? 1 : 0

  security_group_id            = aws_security_group.balancer[0].id
  description                  = "requests and health checks"
  ip_protocol                  = "tcp"
  from_port                    = var.load_balancer.target_port
  to_port                      = var.load_balancer.target_port
  referenced_security_group_id = aws_security_group.instances.id
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  count = local.balanced ? 1 : 0

  security_group_id            = aws_security_group.instances.id
  description                  = "the load balancer's requests"
  ip_protocol                  = "tcp"
  from_port                    = var.load_balancer.target_port
  to_port                      = var.load_balancer.target_port
  referenced_security_group_id = aws_security_group.balancer[0].id
}

resource "aws_lb" "this" {
  count = local.balanced ? 1 : 0

  name                       = "${var.name}-lb"
  load_balancer_type         = "application"
  internal                   = var.load_balancer.internal
  subnets                    = var.load_balancer.subnet_ids
  security_groups            = aws_security_group.balancer[*].id
  drop_invalid_header_fields = true
  enable_deletion_protection = var.load_balancer.deletion_protection
  tags                       = local.tags
}

resource "aws_lb_target_group" "this" {
  count = local.balanced ? 1 : 0

  name                 = "${var.name}-lb"
  vpc_id               = var.vpc_id
  port                 = var.load_balancer.target_port
  protocol             = "HTTP"
  target_type          = "instance"
  deregistration_delay = var.load_balancer.deregistration_seconds
  tags                 = local.tags

  health_check {
    path                = var.load_balancer.health_path
    matcher             = var.load_balancer.health_codes
    interval            = var.load_balancer.health_seconds
    timeout             = max(2, min(5, var.load_balancer.health_seconds - 1))
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  count = local.balanced ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  port              = local.port
  protocol          = var.load_balancer.certificate_arn == null ? "HTTP" : "HTTPS"
  certificate_arn   = var.load_balancer.certificate_arn
  ssl_policy        = var.load_balancer.certificate_arn == null ? null : var.load_balancer.ssl_policy
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[0].arn
  }
}
