terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

variable "nixos_ami_id" {
  description = "The image: `invar publish ../production-web --region REGION` prints its id."
  type        = string

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.nixos_ami_id))
    error_message = "An image's id is ami- and 8 or 17 hex digits."
  }
}

locals {
  # length() counts characters: of base64, 4 are 3 bytes, less the padding.
  user_data_base64 = filebase64("configuration.nix")
  user_data_bytes  = length(local.user_data_base64) / 4 * 3 - length(regexall("=", local.user_data_base64))
}

resource "aws_instance" "web" {
  ami           = var.nixos_ami_id
  instance_type = "t3.medium"
  user_data     = file("configuration.nix")

  # Changed user data makes a new instance: on a running one it would wait for the next restart.
  user_data_replace_on_change = true

  tags = { Name = "web" }

  metadata_options {
    http_tokens = "required"
  }

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = local.user_data_bytes <= 16384
      error_message = "configuration.nix has more than the 16384 bytes of user data that EC2 takes: bake what is common into the image."
    }
  }
}

output "address" {
  description = "Where it answers, inside the network."
  value       = aws_instance.web.private_ip
}
