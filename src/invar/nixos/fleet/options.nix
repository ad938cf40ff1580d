# Options of a fleet.nix: fleets, where they run, how large they are, and how they change.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  percent = types.ints.between 0 100;
  seconds = types.ints.unsigned;
  option =
    type: default: description:
    mkOption { inherit type default description; };
  sizeOption = description: option (types.nullOr types.ints.unsigned) null description;

  region = {
    options = {
      subnets = option (types.listOf (types.strMatching "subnet-[0-9a-f]+")) [ ] ''
        Subnets in which instances are launched, spread over their zones.'';
      zones = option (types.listOf types.str) [ ] ''
        Availability zones, in the place of subnets: their default subnets are used.'';
      targetGroups = option (types.listOf (types.strMatching "arn:[a-z-]+:elasticloadbalancing:.*:targetgroup/.*")) [ ] ''
        ARNs of the load balancers' target groups that instances are registered with.'';
      securityGroups = option (types.listOf (types.strMatching "sg-[0-9a-f]+")) [ ] ''
        Security groups of the instances; none: the VPC's default one.'';
      min = sizeOption "Instead of the fleet's `min`, here.";
      desired = sizeOption "Instead of the fleet's `desired`, here.";
      max = sizeOption "Instead of the fleet's `max`, here.";
    };
  };

  window = {
    options = {
      days = option (types.listOf (types.enum [ "Mon" "Tue" "Wed" "Thu" "Fri" "Sat" "Sun" ]))
        [ "Mon" "Tue" "Wed" "Thu" "Fri" "Sat" "Sun" ]
        "Days on which a rollout may begin.";
      from = option (types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]") "00:00" "From when on, in UTC.";
      to = option (types.strMatching "([01][0-9]|2[0-3]):[0-5][0-9]|24:00") "24:00" "Until when, in UTC.";
    };
  };

  fleet = {
      options = {
        configuration = option (types.nullOr (types.either types.path types.str)) null ''
          What its instances run: a configuration (a path), or the name of a published one. null: the configuration.nix beside the fleet.nix.'';
        regions = option (types.attrsOf (types.submodule region)) { } "The regions that it runs in, one group in each.";
        ledgerRegion = option (types.nullOr types.str) null ''
          The region whose SSM parameters hold its ledger; null: the first in the order of the rollout. It must not change in a fleet's life.'';
        instanceTypes = option (types.nonEmptyListOf types.str) [ "t3.small" ] ''
          Instance types, the preferred ones first. Several make a group of mixed instances.'';
        spot = {
          share = option percent 0 "Percentage of instances above `onDemandBase` that are Spot instances.";
          onDemandBase = option types.ints.unsigned 0 "How many On-Demand instances there are at least, in each region.";
          strategy = option (types.enum [ "price-capacity-optimized" "capacity-optimized" "capacity-optimized-prioritized" "lowest-price" ])
            "price-capacity-optimized" "How Spot pools are chosen.";
        };
        min = option types.ints.unsigned 1 "Fewest instances, in each region.";
        desired = sizeOption "Instances in each region, when the group is made and at every `invar fleet apply`. null: `min` at first, and what scaling made of it later.";
        max = sizeOption "Most instances, in each region. null: twice `desired` (or `min`).";
        instanceProfile = option (types.nullOr types.str) null "Name or ARN of the instances' profile.";
        parameters = option (types.attrsOf types.anything) { } ''
          `config.invar.parameters` of its instances, passed as user data. No secrets.'';
        tags = option (types.attrsOf types.str) { } "Tags of its groups, instances and volumes.";
        health = {
          type = option (types.enum [ "EC2" "ELB" ]) "EC2" "Whose word makes Auto Scaling replace an instance: EC2's status checks, or the load balancer's too.";
          grace = option seconds 300 "Seconds after a launch in which failed health checks do not count.";
          checks = option types.bool true "Whether the configuration's own checks have to pass, and no unit may have failed, on a new instance.";
          proof = option (types.enum [ "console" "http" ]) "console" ''
            How instances prove what they run: by the line on their serial console, or over HTTP (`invar.proof.http.enable`; the port must be reachable from where Invar runs).'';
          proofPort = option types.port 9741 "The port of proof over HTTP.";
          within = option types.ints.positive 900 "Seconds after its launch within which a new instance has to be proven; else it has failed.";
        };
        rollout = {
          regions = option (types.listOf types.str) [ ] ''
            The order of the regions; those that are not named follow. One region is finished before the next begins.'';
          canary = option (types.ints.between 1 100) 10 "Percentage of the first region's instances that are replaced first, and judged.";
          waves = option (types.listOf (types.ints.between 1 100)) [ ] "Further percentages at which it pauses, ascending.";
          pause = option (types.ints.between 0 172800) 300 "Seconds of the pause after the canary and each wave.";
          minHealthy = option percent 100 "Percentage of the desired instances that are healthy at every moment.";
          maxHealthy = option (types.ints.between 100 200) 110 "Percentage of the desired instances that there are at most.";
          warmUp = option seconds 60 "Seconds that a new instance is in service before the next is replaced.";
          bake = option (types.ints.between 0 172800) 0 "Seconds at the end in which alarms still roll back.";
          alarms = option (types.listOf types.str) [ ] "CloudWatch alarms that end it when they go off.";
          automaticRollback = option types.bool true "Whether a rollout that fails goes back to the generation before.";
          window = option (types.nullOr (types.submodule window)) null "When a rollout may begin. null: at any time.";
        };
        audit = {
          sessions = option types.bool false "Whether somebody may be logged in: else an audit names each session. What a session left behind is named either way.";
          maxAge = option (types.nullOr types.ints.positive) 10800 ''
            Seconds after which an instance whose last proof is older counts as unproven; instances prove themselves on their console each hour (`invar.proof.console.interval`). null: never.'';
        };
      };
    };
in
{
  options.fleets = mkOption {
    type = types.attrsOf (types.submodule fleet);
    default = { };
    description = "Fleets by name. A name stays: groups, launch templates and the ledger are found by it.";
  };
}
