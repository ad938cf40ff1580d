terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

# images.auto.tfvars.json: `invar publish ../production-web --region eu-west-1 --tfvars images.auto.tfvars.json`
variable "invar_images" {
  description = "Configuration → its published image, as `invar publish --tfvars` writes it."
  type = map(object({
    amis          = map(string)
    generation    = number
    system_digest = string
  }))
}

variable "configuration" {
  type    = string
  default = "production-web-01"
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "subnet_ids" {
  type = list(string)
}

provider "aws" {
  region = var.region
}

locals {
  image = var.invar_images[var.configuration]
}

resource "aws_launch_template" "web" {
  name_prefix   = "web-"
  image_id      = local.image.amis[var.region]
  instance_type = "t3.medium"

  metadata_options {
    http_tokens = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags = {
      Name          = "web"
      system_digest = local.image.system_digest
    }
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = contains(keys(local.image.amis), var.region)
      error_message = "The image is not published to this region: invar publish --region ... --tfvars images.auto.tfvars.json"
    }
  }
}

resource "aws_autoscaling_group" "web" {
  name                = "web"
  min_size            = 2
  max_size            = 4
  vpc_zone_identifier = var.subnet_ids

  launch_template {
    id      = aws_launch_template.web.id
    version = aws_launch_template.web.latest_version
  }

  # AWS's own refresh: see README.md for what it does not do.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 110
      instance_warmup        = 60
      skip_matching          = true
    }
  }
}
