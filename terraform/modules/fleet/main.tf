locals {
  tags      = merge(var.tags, { Name = var.name })
  balanced  = var.load_balancer != null
  port      = local.balanced ? coalesce(var.load_balancer.port, var.load_balancer.certificate_arn == null ? 80 : 443) : null
  user_data = var.user_data_base64 != null ? var.user_data_base64 : var.user_data == null ? null : base64encode(var.user_data)
}

# Every change is a new, numbered version, and the image stands in it as an id: a refresh can only go back to such ones.
resource "aws_launch_template" "this" {
  name_prefix            = "${var.name}-"
  description            = "Instances of the fleet ${var.name}"
  image_id               = var.ami_id
  instance_type          = var.instance_type
  key_name               = var.key_name
  user_data              = local.user_data
  ebs_optimized          = true
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.instances.id]
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # IMDSv2 only, and not for what runs in a container.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  monitoring {
    enabled = true
  }

  dynamic "block_device_mappings" {
    for_each = var.root_volume == null ? [] : [var.root_volume]

    content {
      device_name = "/dev/xvda"

      ebs {
        volume_type           = "gp3"
        volume_size           = block_device_mappings.value.size
        iops                  = block_device_mappings.value.iops
        throughput            = block_device_mappings.value.throughput
        encrypted             = block_device_mappings.value.encrypted
        kms_key_id            = block_device_mappings.value.kms_key_id
        delete_on_termination = true
      }
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = local.tags
  }

  tag_specifications {
    resource_type = "volume"
    tags          = local.tags
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = var.user_data == null || var.user_data_base64 == null
      error_message = "Give user_data or user_data_base64, not both."
    }
  }
}

resource "aws_autoscaling_group" "this" {
  name                      = var.name
  min_size                  = var.min_size
  max_size                  = var.max_size
  desired_capacity          = var.desired_size
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = aws_lb_target_group.this[*].arn
  health_check_type         = local.balanced ? "ELB" : "EC2"
  health_check_grace_period = var.grace_seconds
  default_instance_warmup   = var.warmup_seconds
  enabled_metrics           = ["GroupDesiredCapacity", "GroupInServiceInstances"]

  launch_template {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }

  # A replaced instance is there before the old one goes, so that a fleet of one stays up.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 110
  }

  dynamic "tag" {
    for_each = local.tags

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does it, volumes included
    }
  }

  lifecycle {
    # A rollout moves the group to another version, waits, and goes back if it must. Terraform would move the group first
    # and not wait; a refresh that fails then "goes back" to the new version (hashicorp/terraform-provider-aws 34189, 42355).
    ignore_changes = [launch_template, mixed_instances_policy]

    precondition {
      condition     = var.min_size <= var.max_size
      error_message = "min_size is greater than max_size."
    }

    precondition {
      condition     = var.desired_size == null ? true : var.desired_size >= var.min_size && var.desired_size <= var.max_size
      error_message = "desired_size is not between min_size and max_size."
    }
  }

  # The group's last instances still need these while they shut down.
  depends_on = [
    aws_iam_role_policy_attachment.this,
    aws_iam_role_policy.secrets,
    aws_vpc_security_group_egress_rule.instances,
    aws_lb_listener.this,
  ]
}
