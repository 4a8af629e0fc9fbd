/**
 * A shell script, so that it needs 1 MB and no library: it outlives sandboxd and ends what the kernel does not. Called as
 * `sh -c SCRIPT mayfly-janitor INSTANCE HOME watch|now`; with `watch` it first waits for the end of its stdin, a pipe that only
 * sandboxd and its init hold open, so that even kill -9 is noticed at once.
 *
 * Killed while frozen, then thawed: a frozen cgroup-v1 task ignores KILL until it thaws, and this order lets none of its own
 * code run in between. It touches only groups and the folder that carry the instance's name.
 */
export const janitorScript = `
cd /
[ "$3" = watch ] && cat >/dev/null
group="mayfly-$1"
for attempt in 1 2 3 4 5 6 7 8 9 10 20 30 40 50 60 70 80 90 100 200 300 400 500 600 700 800 900; do
  left=
  for top in "/sys/fs/cgroup/$group" /sys/fs/cgroup/*/"$group"; do
    [ -d "$top" ] || continue
    left=yes
    find "$top" -depth -type d | while read -r folder; do
      [ -e "$folder/cgroup.kill" ] && echo 1 >"$folder/cgroup.kill"
      while read -r pid; do [ "$pid" -gt 0 ] && kill -KILL "$pid"; done <"$folder/cgroup.procs"
      [ -e "$folder/freezer.state" ] && echo THAWED >"$folder/freezer.state"
      [ -e "$folder/cgroup.freeze" ] && echo 0 >"$folder/cgroup.freeze"
      rmdir "$folder"
    done 2>/dev/null
  done
  [ -z "$left" ] && break
  [ "$attempt" -gt 1 ] && { [ "$attempt" -lt 100 ] && sleep 0.02 || sleep 1; }
done
case "$2" in /run/mayfly-sandboxd."$1") rm -rf "$2" ;; esac
exit 0
`;
