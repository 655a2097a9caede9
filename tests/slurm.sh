#!/usr/bin/env bash
# slurm.sh start|stop DIR: a SLURM of two imaginary nodes on this machine's loopback, for the tests. Key, sockets, state and
# logs lie under DIR; nothing is written to /etc, /run or /var. Needs root, slurmctld, slurmd, slurm-client and munge.
set -euo pipefail
verb=${1:?start or stop} dir=$(realpath -m "${2:?a folder}")
export SLURM_CONF=$dir/slurm.conf

configuration() { # PORT
    local host memory
    host=$(hostname -s)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024 * 0.4)}' /proc/meminfo)
    cat <<END
ClusterName=gridvit
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$1
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# a job that is queued again waits until its credentials have expired: 6 s instead of 121
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd-%n.log
# no control groups, no MPI, no accounting
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
# the nodes are what this file says, whatever the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
KillWait=10
MessageTimeout=30
SlurmdTimeout=300
InactiveLimit=0
MinJobAge=3600
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 1)) CPUs=2 RealMemory=$memory
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(($1 + 2)) CPUs=2 RealMemory=$memory
PartitionName=main Nodes=node[1-2] Default=YES PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=node[1-2] PriorityTier=10
END
}

free_port() { # the first of three in a row that nobody listens on
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        for each in 0 1 2; do
            (exec 3<>"/dev/tcp/127.0.0.1/$((port + each))") 2>/dev/null && continue 2
        done
        echo "$port"
        return
    done
    return 1
}

start() {
    mkdir -p "$dir"/{state,spool-node1,spool-node2}
    (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
    configuration "$(free_port)" >"$SLURM_CONF"
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munge.seed" --num-threads=2
    slurmctld -c -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF" -N node1
    slurmd -f "$SLURM_CONF" -N node2
    for _ in $(seq 300); do
        [ "$(sinfo -h -p main -t idle -o %D 2>/dev/null)" = 2 ] && return
        sleep 0.1
    done
    tail -n 20 "$dir"/*.log >&2
    return 1
}

ended() { # PID: no such process, or one that only waits to be reaped
    [[ "$(awk '/^State/ {print $2}' "/proc/$1/status" 2>/dev/null)" =~ ^[ZX]?$ ]]
}

stop() {
    local file pid
    timeout 20 scancel --full --signal=KILL --user=root 2>/dev/null || true
    timeout 20 scancel --user=root 2>/dev/null || true
    for _ in $(seq 150); do
        [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
        sleep 0.1
    done
    for file in "$dir"/slurmd-*.pid "$dir/slurmctld.pid" "$dir/munged.pid"; do
        [ -s "$file" ] || continue
        pid=$(cat "$file")
        [[ "$(cat "/proc/$pid/comm" 2>/dev/null)" =~ ^(slurmd|slurmctld|munged) ]] || continue
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do
            ended "$pid" && break
            sleep 0.1
        done
        ended "$pid" || kill -9 "$pid" 2>/dev/null || true
    done
}

case $verb in
start) start ;;
stop) stop ;;
*)
    echo "usage: $0 start|stop DIR" >&2
    exit 2
    ;;
esac
