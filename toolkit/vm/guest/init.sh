#!/bin/busybox sh
# The first process of the guest: makes the root that the command will see, and goes there.
# /settings has: RELEASE MODULES SHARES FRESH DISKS (words separated by newlines where there are several)

/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev

give_up() { # MESSAGE: the host reads it from the console
    echo "container-vm: $1" >/dev/console
    poweroff -f
}

while read -r module; do
    insmod "/modules/$module" || give_up "the module $module does not load"
done </modules/order

. /settings
IFS='
'
# The host's files cannot be written through /host, whoever tries; the upper half of the overlay takes what is.
mount -t virtiofs -o ro host /host || give_up "there are no files from the host"
mount -t tmpfs -o mode=755,size=75% upper /upper || give_up "no memory for what is written"
mkdir /upper/data /upper/work
mount -t overlay -o "lowerdir=/host,upperdir=/upper/data,workdir=/upper/work,redirect_dir=on,volatile" root /root ||
    give_up "no overlay on the host's files"

mkdir -p /root/proc /root/sys /root/dev /root/run /root/tmp
mount -t proc -o nosuid,nodev,noexec proc /root/proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /root/sys
mount -t devtmpfs -o nosuid,noexec dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm /root/dev/mqueue
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 shm /root/dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue /root/dev/mqueue
ln -sf /proc/self/fd /root/dev/fd
for name in 0:stdin 1:stdout 2:stderr; do ln -sf "/proc/self/fd/${name%:*}" "/root/dev/${name#*:}"; done
mount -t tmpfs -o nosuid,nodev,mode=755 run /root/run
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate,memory_recursiveprot cgroup2 /root/sys/fs/cgroup
for controller in $(tr ' ' '\n' </root/sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/root/sys/fs/cgroup/cgroup.subtree_control
done

# Overlays cannot have their upper half on another overlay, and what runs on the host does not run here.
for directory in $FRESH; do
    mkdir -p "/root$directory"
    mount -t tmpfs -o mode=755 fresh "/root$directory" || give_up "no memory for $directory"
done
mkdir -p "/root/lib/modules/$RELEASE"
mount -o bind,ro "/host$MODULES" "/root/lib/modules/$RELEASE" || give_up "the modules of the kernel are not there"
number=0
for directory in $SHARES; do
    mkdir -p "/root$directory"
    mount -t virtiofs "share$number" "/root$directory" || give_up "$directory cannot be shared"
    number=$((number + 1))
done

mkdir -p /root/run/container-vm/bin
cp /bin/busybox /root/run/container-vm/bin/
cp /command.sh /settings /run.sh /root/run/container-vm/
umount /proc /sys
umount -l /dev
exec switch_root /root /run/container-vm/bin/busybox sh /run/container-vm/command.sh
