# What the tasks of a crash sweep run: life.sh KIND. It tells what it does, and when, through the FIFO $SAID.

say() {
    read -r now _ </proc/uptime
    echo "$1 $$ ${SUPERVISOR_CONTAINER_ID:-} ${SUPERVISOR_TASK_ARN:-} $now ${2:-}" >"$SAID"
}

leave() {
    say exit "$1"
    exit "$1"
}

stay() {
    sleep 1000 &
    while :; do wait; done
}

case $1 in
exits) # by itself
    say main
    sleep 0.05
    leave "$CODE"
    ;;
restarted) # and is run again
    say main
    sleep 0.2
    leave "$CODE"
    ;;
graceful)
    trap 'say term; leave "$CODE"' TERM
    say main
    stay
    ;;
stubborn)
    trap 'say term' TERM
    say main
    stay
    ;;
parent) # exits when told to, and leaves a child that does not
    trap 'say term; leave "$CODE"' TERM
    say main
    sh "$0" child &
    while :; do wait; done
    ;;
child)
    trap '' TERM
    say child
    exec sleep 1000
    ;;
*) # a health check, a pre-stop command
    say "$1"
    ;;
esac
