output "group_name" {
  description = "The Auto Scaling group: what rollouts move."
  value       = aws_autoscaling_group.this.name
}

output "group_arn" {
  description = "Its ARN."
  value       = aws_autoscaling_group.this.arn
}

output "launch_template" {
  description = "The template with the number of its newest version. The group runs it after the next rollout."
  value = {
    id      = aws_launch_template.this.id
    version = aws_launch_template.this.latest_version
  }
}

output "security_group_id" {
  description = "The instances' security group, for rules of others that name it."
  value       = aws_security_group.instances.id
}

output "role_name" {
  description = "The instances' role, for further policies."
  value       = aws_iam_role.this.name
}

output "url" {
  description = "Where the load balancer answers; null without one."
  value       = local.balanced ? "${var.load_balancer.certificate_arn == null ? "http" : "https"}://${aws_lb.this[0].dns_name}:${local.port}/" : null
}

output "target_group_arn" {
  description = "The load balancer's targets; null without one."
  value       = local.balanced ? aws_lb_target_group.this[0].arn : null
}

output "alarm_names" {
  description = "The alarms, for a refresh that heeds them."
  value       = [for name in sort(keys(aws_cloudwatch_metric_alarm.this)) : aws_cloudwatch_metric_alarm.this[name].alarm_name]
}
