# The first process of the guest, in its final root: runs the command, and tells the host how it ended.
# run.sh becomes the command; TTY and STDIN in the settings say what it has for streams.

here=/run/container-vm
"$here/bin/busybox" --install -s "$here/bin"
PATH=$here/bin
. "$here/settings"
exec </dev/null >/dev/console 2>&1

hostname container-vm
ip link set lo up

port() { # NAME: where the host has put this line to it
    for each in /sys/class/virtio-ports/*; do
        if [ "$(cat "$each/name")" = "$1" ]; then echo "/dev/${each##*/}"; fi
    done
}

control=$(port control)
exec 9<>"$control"
read -r seconds _ </proc/uptime
echo "up $seconds" >&9

if [ -n "$TTY" ]; then
    exec 8<>/dev/hvc0 # a terminal that nobody has open forgets its size
    while read -r rows columns; do stty -F /dev/hvc0 rows "$rows" cols "$columns"; done <&9 >/dev/null 2>&1 &
    pumps=
    [ -z "$SIZE" ] || stty -F /dev/hvc0 $SIZE
    setsid -c env -i /bin/sh "$here/run.sh" <&8 >&8 2>&8 8<&- 9<&- &
    command=$!
else
    mkfifo "$here/out" "$here/err" "$here/in"
    cat <"$here/out" >"$(port out)" 9<&- &
    pumps=$!
    cat <"$here/err" >"$(port err)" 9<&- &
    pumps="$pumps $!"
    if [ -n "$STDIN" ]; then
        cat <"$(port in)" >"$here/in" 9<&- &
        setsid env -i /bin/sh "$here/run.sh" <"$here/in" >"$here/out" 2>"$here/err" 9<&- &
    else
        setsid env -i /bin/sh "$here/run.sh" </dev/null >"$here/out" 2>"$here/err" 9<&- &
    fi
    command=$!
fi
wait $command
code=$?

# What the command left running would keep its output open: it ends here, as in a container.
for process in /proc/[0-9]*; do
    process=${process#/proc/}
    case " 1 $pumps " in
    *" $process "*) ;;
    *) kill -KILL "$process" 2>/dev/null ;;
    esac
done
for pump in $pumps; do wait "$pump"; done
echo "exit $code" >&9
poweroff -f
