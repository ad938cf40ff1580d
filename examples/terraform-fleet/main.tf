terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
    invar = {
      source = "invar.invalid/invar/invar"
    }
  }
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "configuration" {
  description = "The image's configuration."
  type        = string
  default     = "../production-web"
}

variable "alarm_topics" {
  description = "SNS topics that alarms go to."
  type        = list(string)
  default     = []
}

provider "aws" {
  region = var.region

  # Rollouts tag the group while they hold it.
  ignore_tags {
    key_prefixes = ["invar:"]
  }
}

# Built at plan, so that the digest is known; published at apply.
resource "invar_image" "web" {
  configuration = var.configuration
  regions       = [var.region]
}

# What makes this fleet of the image: checked at plan, as an instance will read it.
data "invar_user_data" "web" {
  content = jsonencode({ invar = { parameters = { role = "web" } } })
  image   = var.configuration
}

module "network" {
  source = "../../terraform/modules/network"

  name               = "web"
  availability_zones = ["${var.region}a", "${var.region}b"]
}

module "web" {
  source = "../../terraform/modules/fleet"

  name             = "web"
  ami_id           = invar_image.web.amis[var.region]
  vpc_id           = module.network.vpc_id
  subnet_ids       = module.network.private_subnet_ids
  user_data_base64 = data.invar_user_data.web.base64
  instance_type    = "t3.medium"
  min_size         = 2
  max_size         = 6

  load_balancer = {
    subnet_ids = module.network.public_subnet_ids
  }

  # Proof, for those inside the network.
  ingress = {
    proof = { port = 9741, cidr_blocks = [module.network.cidr_block] }
  }

  alarms = { actions = var.alarm_topics }
}

# Moves the group to the template's new version, waits until every instance has proven the image's digest, and fails when
# it had to go back.
resource "invar_rollout" "web" {
  group            = module.web.group_name
  launch_templates = { (var.region) = module.web.launch_template }
  system_digest    = invar_image.web.system_digest
}

output "system_digest" {
  description = "What every instance has proven that it booted, before its user data was applied."
  value       = invar_rollout.web.proven_digest
}

output "url" {
  value = module.web.url
}

output "generation" {
  description = "The rollout's number in the group's ledger."
  value       = invar_rollout.web.generation
}
