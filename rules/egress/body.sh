PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
chains='G0-EGRESS G0-EGRESS-HOST G0-EGRESS-LIST G0-EGRESS-DENY'

fail() {
  printf 'g0-egress: %s\n' "$*" >&2
  exit 1
}

# listing TOOL CHAIN: its rules without "-A CHAIN"; of a chain that is not there, none.
listing() {
  "$1" -w 10 -S "$2" 2>/dev/null | sed -n "s/^-A $2 //p"
}

# hook TOOL: the chain that sees forwarded packets before Docker's own rules do,
# and that Docker leaves alone.
hook() {
  if [ "$(listing "$1" FORWARD | grep -v '^-j G0-EGRESS$' | head -n 1)" = '-j DOCKER-USER' ]; then
    echo DOCKER-USER
  else
    echo FORWARD
  fi
}

# unhook TOOL: the lines that take every jump to our chains away.
unhook() {
  for chain in DOCKER-USER FORWARD INPUT; do
    listing "$1" "$chain" | sed -n "s/^-j G0-EGRESS\(-HOST\)\{0,1\}\$/-D $chain &/p"
  done
}

# working TOOL: ends the script before anything is changed if there is none.
working() {
  "$1" -w 10 -S INPUT >/dev/null || fail "$1 does not work here; nothing was changed"
}

# restore TOOL OPTIONS: one transaction, all or nothing, from standard input.
restore() {
  tool=$1
  shift
  "$tool-restore" -w 10 --noflush "$@"
}

# plan TOOL RULES: what restore reads.
plan() {
  echo '*filter'
  "$2"
  unhook "$1"
  echo "-I $(hook "$1") 1 -j G0-EGRESS"
  echo '-I INPUT 1 -j G0-EGRESS-HOST'
  echo COMMIT
}

# apply tries both families before it changes either.
apply() {
  for tool in $tools; do
    working "$tool"
  done
  for step in --test ''; do
    for tool in $tools; do
      rules=rules4
      [ "$tool" = iptables ] || rules=rules6
      new=$(plan "$tool" "$rules")
      printf '%s\n' "$new" | restore "$tool" ${step:+"$step"} ||
        fail "$tool refused the rules; those that were in force for it still are"
    done
  done
}

# remove takes jumps and chains away.
remove() {
  for tool in $tools; do
    working "$tool"
  done
  for tool in $tools; do
    ours=
    for chain in $chains; do
      if "$tool" -w 10 -S "$chain" >/dev/null 2>&1; then
        ours="$ours $chain"
      fi
    done
    new=$(
      echo '*filter'
      unhook "$tool"
      for chain in $ours; do
        echo "-F $chain"
      done
      for chain in $ours; do
        echo "-X $chain"
      done
      echo COMMIT
    )
    printf '%s\n' "$new" | restore "$tool" || fail "$tool refused to remove its rules; they are in force"
  done
}

# fault TOOL COUNT: what is wrong with the rules in force, or nothing.
fault() {
  at=$(hook "$1")
  found=0
  for chain in $chains; do
    found=$((found + $(listing "$1" "$chain" | wc -l)))
  done
  if [ "$(listing "$1" "$at" | head -n 1)" != '-j G0-EGRESS' ]; then
    echo "not first in $at"
  elif [ "$(listing "$1" INPUT | head -n 1)" != '-j G0-EGRESS-HOST' ]; then
    echo 'not first in INPUT'
  elif ! listing "$1" G0-EGRESS-LIST | head -n 1 | grep -q -e "--comment $stamp "; then
    echo 'in force are the rules of another description'
  elif [ "$found" != "$2" ]; then
    echo "$found of $2 rules are there"
  fi
}

# denied TOOL: how many packets were, or would have been.
denied() {
  "$1" -w 10 -nvxL G0-EGRESS-DENY | sed -n '/g0-denied/s/^ *\([0-9]*\) .*/\1/p'
}

check() {
  status=0
  for tool in $tools; do
    working "$tool"
    count=$count4
    [ "$tool" = iptables ] || count=$count6
    wrong=$(fault "$tool" "$count")
    if [ -n "$wrong" ]; then
      printf 'g0-egress: %s: %s\n' "$tool" "$wrong" >&2
      status=1
    else
      echo "g0-egress: $tool: in force, first in $(hook "$tool") and INPUT; packets against the list: $(denied "$tool")"
    fi
  done
  return "$status"
}

# A kernel without IPv6 has no rules for it.
tools=iptables
if [ -e /proc/net/if_inet6 ]; then
  tools='iptables ip6tables'
fi

case $#:${1-} in
  0:) apply ;;
  1:--check) check ;;
  1:--remove) remove ;;
  *)
    echo "usage: $0 [--check | --remove]" >&2
    exit 2
    ;;
esac
