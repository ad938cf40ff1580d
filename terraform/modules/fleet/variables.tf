variable "name" {
  description = "Name of the fleet: its group's, and how the names of its parts begin."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,25}$", var.name))
    error_message = "The name is 1 to 26 letters, digits and hyphens (a load balancer's name has 32 at most)."
  }
}

variable "ami_id" {
  description = "The image, as an explicit id: `invar_image.web.amis[region]`, or what `invar publish --tfvars` wrote."
  type        = string

  validation {
    condition     = can(regex("^ami-([0-9a-f]{8}|[0-9a-f]{17})$", var.ami_id))
    error_message = "The image is an explicit id, ami- and 8 or 17 hex digits. A refresh cannot go back where an SSM parameter (resolve:ssm:) stands in its place."
  }
}

variable "instance_type" {
  description = "Type of the instances; its architecture is the image's."
  type        = string
  default     = "t3.medium"
}

variable "vpc_id" {
  description = "The network that the fleet is in."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the instances, one a zone: private ones, as a rule."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Name at least one subnet."
  }
}

variable "min_size" {
  description = "Fewest instances."
  type        = number
  default     = 2

  validation {
    condition     = var.min_size >= 0 && floor(var.min_size) == var.min_size
    error_message = "The least size is a whole number, 0 or more."
  }
}

variable "max_size" {
  description = "Most instances. A rollout that launches before it terminates needs none beyond it: a refresh may exceed it."
  type        = number
  default     = 4

  validation {
    condition     = floor(var.max_size) == var.max_size
    error_message = "The greatest size is a whole number."
  }
}

variable "desired_size" {
  description = "Instances to run. null leaves it to scaling policies (and begins with min_size)."
  type        = number
  default     = null
}

variable "user_data" {
  description = "User data as text: a configuration (`file(\"role.nix\")`), or `jsonencode({ invar = { parameters = {...} } })`. See `docs/instance.md`."
  type        = string
  default     = null

  validation {
    # Of base64, every 4 characters are 3 bytes, less the padding: Terraform's length() counts characters, not bytes.
    condition     = var.user_data == null ? true : length(base64encode(var.user_data)) / 4 * 3 - length(regexall("=", base64encode(var.user_data))) <= 16384
    error_message = "The user data has more than the 16384 bytes that EC2 takes. Bake what is common into the image and pass only parameters, or sign and compress it (invar user-data sign --compress xz) and give it as user_data_base64."
  }
}

variable "user_data_base64" {
  description = "User data that is no text, such as what `invar user-data sign --compress` makes: `filebase64(\"web.user-data\")`. Instead of user_data."
  type        = string
  default     = null

  validation {
    condition     = var.user_data_base64 == null ? true : can(regex("^[A-Za-z0-9+/]*={0,2}$", var.user_data_base64)) && length(var.user_data_base64) % 4 == 0
    error_message = "This is no base64."
  }

  validation {
    condition     = var.user_data_base64 == null ? true : length(var.user_data_base64) / 4 * 3 - length(regexall("=", var.user_data_base64)) <= 16384
    error_message = "The user data has more than the 16384 bytes that EC2 takes, before base64."
  }
}

variable "root_volume" {
  description = "The root volume, where it is to differ from the image's: size in GiB, iops, throughput in MiB/s, kms_key_id. State in /var grows with it."
  type = object({
    size       = optional(number)
    iops       = optional(number)
    throughput = optional(number)
    encrypted  = optional(bool)
    kms_key_id = optional(string)
  })
  default = null
}

variable "ingress" {
  description = "What the instances let in besides the load balancer's requests, by a name: port (or from and to), protocol, cidr_blocks, security_group_ids."
  type = map(object({
    port               = number
    to_port            = optional(number)
    protocol           = optional(string, "tcp")
    cidr_blocks        = optional(list(string), [])
    security_group_ids = optional(list(string), [])
  }))
  default = {}

  validation {
    condition     = alltrue([for rule in values(var.ingress) : length(rule.cidr_blocks) + length(rule.security_group_ids) > 0])
    error_message = "Each rule names cidr_blocks or security_group_ids, else it lets nobody in."
  }

  validation {
    condition     = alltrue(flatten([for rule in values(var.ingress) : [for block in rule.cidr_blocks : can(cidrhost(block, 0))]]))
    error_message = "The cidr_blocks are IPv4 blocks, such as 10.0.0.0/16."
  }
}

variable "key_name" {
  description = "Key pair that root may log in with; images have their own users' keys, so that none is needed."
  type        = string
  default     = null
}

variable "policy_arns" {
  description = "Managed policies of the instances' role, by a name."
  type        = map(string)
  default     = {}
}

variable "secret_parameters" {
  description = "ARNs of SSM parameters that the instances may read (`invar.secrets` in the configuration)."
  type        = list(string)
  default     = []
}

variable "load_balancer" {
  description = <<-EOT
    An application load balancer in front of the fleet; null: none. With it, instances are healthy when they answer.
    `port` is 443 with a certificate, else 80; `target_port` is what the instances listen on.
  EOT
  type = object({
    subnet_ids             = list(string)
    internal               = optional(bool, false)
    port                   = optional(number)
    certificate_arn        = optional(string)
    ssl_policy             = optional(string, "ELBSecurityPolicy-TLS13-1-2-2021-06")
    target_port            = optional(number, 80)
    allowed_cidr_blocks    = optional(list(string), ["0.0.0.0/0"])
    health_path            = optional(string, "/")
    health_codes           = optional(string, "200")
    health_seconds         = optional(number, 10)
    deregistration_seconds = optional(number, 30)
    deletion_protection    = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.load_balancer == null ? true : length(var.load_balancer.subnet_ids) >= 2
    error_message = "An application load balancer needs subnets in two zones at least."
  }
}

variable "grace_seconds" {
  description = "How long a new instance may take to become healthy before it is replaced. It boots in half a minute and then applies its user data."
  type        = number
  default     = 300
}

variable "warmup_seconds" {
  description = "How long a healthy new instance is watched before a rollout goes on."
  type        = number
  default     = 60
}

variable "alarms" {
  description = "Alarms: on a CPU above `cpu_percent`, fewer instances than min_size and, with a load balancer, targets that do not answer and `errors_per_minute` from them. `actions` are told (topics' ARNs). null: none."
  type = object({
    actions           = optional(list(string), [])
    cpu_percent       = optional(number, 90)
    errors_per_minute = optional(number, 10)
  })
  default = {}
}

variable "tags" {
  description = "Tags of everything, the instances and their volumes too."
  type        = map(string)
  default     = {}
}
