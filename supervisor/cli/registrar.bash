# Bash completion of registrar. Commands and options are asked of registrar itself, whose --help is
# made from the tables that it parses with; so nothing is told twice and nothing goes out of date.

# The options of a command: lines of its --help that begin with them.
_registrar_options() {
    "$1" "$2" --help 2>/dev/null |
        sed -n 's/^ \{2,6\}\(\(-[a-z]\), \)\{0,1\}\(--[a-z][a-z-]*\).*/\2 \3/p' | sort -u
}

_registrar_commands() {
    "$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'
}

# The first column of the queue's table.
_registrar_batches() {
    "$1" status 2>/dev/null | sed -n '1d;/^$/q;s/ .*//p'
}

_registrar() {
    local program=$1 word=$2 before=$3 command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [[ $COMP_CWORD -eq 1 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_registrar_commands "$program") --help --version" \
            -- "$word")
        return
    fi
    if [[ $command == apply ]]; then
        case $before in
        -o | --out | --image | --points)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --interpolation)
            mapfile -t COMPREPLY < <(compgen -W "nearest linear cubic lanczos" -- "$word")
            return
            ;;
        --compression)
            mapfile -t COMPREPLY < <(compgen -W "none deflate zstd" -- "$word")
            return
            ;;
        esac
    fi
    case $before in
    -o | --out | --state-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --manifest | --config | --socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    -b | --batch)
        mapfile -t COMPREPLY < <(compgen -W "$(_registrar_batches "$program")" -- "$word")
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_registrar_options "$program" "$command")" -- "$word")
        return
    fi
    case $command in
    apply)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        ;;
    run | plan | submit | report)
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        ;;
    status | watch | cancel | retry | pause | resume | priority)
        [[ $COMP_CWORD -eq 2 ]] &&
            mapfile -t COMPREPLY < <(compgen -W "$(_registrar_batches "$program")" -- "$word")
        ;;
    ledger)
        [[ $COMP_CWORD -eq 2 ]] &&
            mapfile -t COMPREPLY < <(compgen -W "show verify csv compact" -- "$word")
        ;;
    esac
}

complete -o default -o filenames -F _registrar registrar
