"""What runs on an instance: metadata, user data, switch, generations, proof. Standard library only."""
