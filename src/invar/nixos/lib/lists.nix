# Functions on lists.
{ lib }:

let
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    groupBy
    head
    isList
    length
    map
    partition
    sort
    tail
    ;

  inherit (lib.trivial) min max;

  self = {
    inherit
      all
      any
      concatLists
      concatMap
      elem
      elemAt
      filter
      genList
      head
      isList
      length
      map
      partition
      tail
      ;

    singleton = value: [ value ];
    forEach = list: function: map function list;

    foldr =
      operator: neutral: list:
      let
        count = length list;
        from = index: if index == count then neutral else operator (elemAt list index) (from (index + 1));
      in
      from 0;
    fold = self.foldr;
    foldl =
      operator: neutral: list:
      let
        upTo = index: if index == 0 then neutral else operator (upTo (index - 1)) (elemAt list (index - 1));
      in
      upTo (length list);
    foldl' = operator: neutral: foldl' operator (builtins.seq neutral neutral);

    imap0 = function: list: genList (index: function index (elemAt list index)) (length list);
    imap1 = function: list: genList (index: function (index + 1) (elemAt list index)) (length list);
    ifilter0 =
      predicate: list:
      map (index: elemAt list index) (
        filter (index: predicate index (elemAt list index)) (genList lib.id (length list))
      );

    flatten = value: if isList value then concatMap self.flatten value else [ value ];
    remove = unwanted: filter (value: value != unwanted);

    findSingle =
      predicate: none: multiple: list:
      let
        found = filter predicate list;
      in
      if found == [ ] then none else if length found == 1 then head found else multiple;
    findFirstIndex =
      predicate: default: list:
      let
        # negative: not found, and -1 - (elements seen)
        position = foldl' (
          state: value:
          if state >= 0 then
            state
          else if predicate value then
            -state - 1
          else
            state - 1
        ) (-1) list;
      in
      if position < 0 then default else position;
    findFirst =
      predicate: default: list:
      let
        index = self.findFirstIndex predicate null list;
      in
      if index == null then default else elemAt list index;

    count = predicate: foldl' (total: value: if predicate value then total + 1 else total) 0;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: values: if condition then values else [ ];
    toList = value: if isList value then value else [ value ];
    range = first: last: if first > last then [ ] else genList (index: first + index) (last - first + 1);
    replicate = count: value: genList (_: value) count;

    groupBy' =
      operator: neutral: keyOf: list:
      builtins.mapAttrs (_: foldl' operator neutral) (self.groupBy keyOf list);
    inherit groupBy;

    zipListsWith =
      function: left: right:
      genList (index: function (elemAt left index) (elemAt right index)) (min (length left) (length right));
    zipLists = self.zipListsWith (fst: snd: { inherit fst snd; });
    reverseList =
      list:
      let
        count = length list;
      in
      genList (index: elemAt list (count - index - 1)) count;

    # Follow "comes before" from the first element down to a minimal one, or to a cycle.
    listDfs =
      stopOnCycles: before: list:
      let
        descend =
          current: visited: rest:
          let
            loops = filter (other: before other current) visited;
            split = partition (other: before other current) rest;
          in
          if stopOnCycles && loops != [ ] then
            {
              cycle = current;
              inherit loops visited rest;
            }
          else if split.right == [ ] then
            {
              minimal = current;
              inherit visited rest;
            }
          else
            descend (head split.right) ([ current ] ++ visited) (tail split.right ++ split.wrong);
      in
      descend (head list) [ ] (tail list);

    toposort =
      before: list:
      let
        first = self.listDfs true before list;
        others = self.toposort before (first.visited ++ first.rest);
      in
      if length list < 2 then
        { result = list; }
      else if first ? cycle then
        {
          cycle = self.reverseList ([ first.cycle ] ++ first.visited);
          inherit (first) loops;
        }
      else if others ? cycle then
        others
      else
        { result = [ first.minimal ] ++ others.result; };

    inherit sort;
    sortOn =
      key: list:
      map (pair: elemAt pair 1) (
        sort (left: right: head left < head right) (
          map (value: [
            (key value)
            value
          ]) list
        )
      );
    compareLists =
      compare: left: right:
      if left == [ ] then
        if right == [ ] then 0 else -1
      else if right == [ ] then
        1
      else
        let
          first = compare (head left) (head right);
        in
        if first == 0 then self.compareLists compare (tail left) (tail right) else first;
    naturalSort =
      let
        parts = text: map (part: if isList part then lib.toIntBase10 (head part) else part) (builtins.split "(0|[1-9][0-9]*)" text);
        before = left: right: self.compareLists lib.compare (head left) (head right) < 0;
      in
      list:
      map (pair: elemAt pair 1) (
        sort before (
          map (text: [
            (parts text)
            text
          ]) list
        )
      );

    take = count: self.sublist 0 count;
    takeEnd = count: list: self.drop (max 0 (length list - count)) list;
    drop = count: list: self.sublist count (length list) list;
    dropEnd = count: list: self.take (max 0 (length list - count)) list;
    sublist =
      start: count: list:
      let
        available = max 0 (length list - start);
      in
      genList (index: elemAt list (start + index)) (min count available);
    hasPrefix = prefix: list: self.take (length prefix) list == prefix;
    removePrefix =
      prefix: list:
      if self.hasPrefix prefix list then
        self.drop (length prefix) list
      else
        throw "lib.lists.removePrefix: first argument is not a list prefix of the second argument";
    commonPrefix =
      left: right:
      let
        differing = self.findFirstIndex ({ fst, snd }: fst != snd) null (self.zipLists left right);
      in
      self.take (if differing == null then min (length left) (length right) else differing) left;
    last = list: if list == [ ] then throw "lists.last: list must not be empty!" else elemAt list (length list - 1);
    init =
      list: if list == [ ] then throw "lists.init: list must not be empty!" else genList (elemAt list) (length list - 1);

    crossLists = function: foldl' (functions: arguments: concatMap (f: map f arguments) functions) [ function ];
    unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
    uniqueStrings = list: builtins.attrNames (groupBy lib.id list);
    allUnique = list: length (self.unique list) == length list;
    intersectLists = kept: filter (value: elem value kept);
    subtractLists = dropped: filter (value: !(elem value dropped));
    mutuallyExclusive = left: right: !(any (value: elem value right) left);
    concatAttrValues = set: concatLists (builtins.attrValues set);
  };
in
self
