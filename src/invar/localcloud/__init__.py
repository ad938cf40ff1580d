"""The local cloud: EC2, EBS direct, SSM and their neighbours on 127.0.0.1, with faults on request."""
