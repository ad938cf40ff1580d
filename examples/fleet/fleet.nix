# Two regions of a fleet of examples/production-web. Put it beside the configuration.nix, or name that as here.
{
  fleets.production-web = {
    configuration = "production-web-01";

    regions.eu-west-1.zones = [ "eu-west-1a" "eu-west-1b" "eu-west-1c" ];
    regions.us-east-1 = {
      zones = [ "us-east-1a" "us-east-1b" ];
      max = 12;
    };

    instanceTypes = [ "t3.small" "t3a.small" ];
    spot.share = 50;
    spot.onDemandBase = 2;
    min = 3;
    max = 9;

    health.grace = 120;
    rollout = {
      regions = [ "us-east-1" ];
      canary = 10;
      waves = [ 50 ];
      pause = 600;
      maxHealthy = 134;
      window = { days = [ "Mon" "Tue" "Wed" "Thu" ]; from = "07:00"; to = "15:00"; };
    };
  };
}
