locals {
  of_group = { AutoScalingGroupName = aws_autoscaling_group.this.name }

  of_targets = local.balanced ? {
    LoadBalancer = aws_lb.this[0].arn_suffix
    TargetGroup  = aws_lb_target_group.this[0].arn_suffix
  } : {}

  group_alarms = var.alarms == null ? {} : {
    cpu = {
      about      = "The instances' CPUs are busy"
      namespace  = "AWS/EC2"
      metric     = "CPUUtilization"
      statistic  = "Average"
      comparison = "GreaterThanThreshold"
      threshold  = var.alarms.cpu_percent
      minutes    = 5
      dimensions = local.of_group
      missing    = "missing"
    }
    instances = {
      about      = "Fewer instances are in service than the fleet's least size"
      namespace  = "AWS/AutoScaling"
      metric     = "GroupInServiceInstances"
      statistic  = "Minimum"
      comparison = "LessThanThreshold"
      threshold  = var.min_size
      minutes    = 5
      dimensions = local.of_group
      missing    = "breaching"
    }
  }

  target_alarms = var.alarms == null || !local.balanced ? {} : {
    unhealthy = {
      about      = "Targets do not answer their health checks"
      namespace  = "AWS/ApplicationELB"
      metric     = "UnHealthyHostCount"
      statistic  = "Maximum"
      comparison = "GreaterThanThreshold"
      threshold  = 0
      minutes    = 3
      dimensions = local.of_targets
      missing    = "notBreaching"
    }
    errors = {
      about      = "The instances answer with errors"
      namespace  = "AWS/ApplicationELB"
      metric     = "HTTPCode_Target_5XX_Count"
      statistic  = "Sum"
      comparison = "GreaterThanThreshold"
      threshold  = var.alarms.errors_per_minute
      minutes    = 2
      dimensions = local.of_targets
      missing    = "notBreaching"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = merge(local.group_alarms, local.target_alarms)

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.about
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.minutes
  dimensions          = each.value.dimensions
  treat_missing_data  = each.value.missing
  alarm_actions       = var.alarms.actions
  ok_actions          = var.alarms.actions
  tags                = local.tags
}
