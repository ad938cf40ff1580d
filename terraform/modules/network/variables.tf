variable "name" {
  description = "Name of the network, and how the names of its parts begin."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,62}$", var.name))
    error_message = "The name is 1 to 63 letters, digits and hyphens."
  }
}

variable "cidr_block" {
  description = "Addresses of the network, a /16 to /24."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr_block, 0)) && can(regex("/(1[6-9]|2[0-4])$", var.cidr_block))
    error_message = "The addresses are an IPv4 block of /16 to /24, such as 10.0.0.0/16."
  }

  validation {
    condition     = try(cidrsubnet(var.cidr_block, 0, 0) == var.cidr_block, true)
    error_message = "The block has host bits set: write its first address, such as 10.0.0.0/16."
  }
}

variable "availability_zones" {
  description = "Zones with one public and one private subnet each. Append only: a zone's place in the list decides its addresses."
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 1 && length(var.availability_zones) <= 8
    error_message = "Name 1 to 8 zones; load balancers need 2."
  }

  validation {
    condition     = length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "A zone is named twice."
  }
}

variable "nat" {
  description = "How private subnets reach the internet: \"none\" (not at all), \"single\" (one gateway, in the first zone), \"zonal\" (one in each zone)."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["none", "single", "zonal"], var.nat)
    error_message = "Write \"none\", \"single\" or \"zonal\"."
  }
}

variable "s3_endpoint" {
  description = "Reach S3 from the private subnets without a NAT gateway. It costs nothing."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
