"""The Terraform provider (plugin protocol 6), the modules and tfvars."""
