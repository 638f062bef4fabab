# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_agentctl_global_optspecs
    string join \n p/profile= config= env-file= q/quiet v/verbose color= no-input json h/help V/version
end

function __fish_agentctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_agentctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_agentctl_using_subcommand
    set -l cmd (__fish_agentctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c agentctl -n "__fish_agentctl_needs_command" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_needs_command" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_needs_command" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_needs_command" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_needs_command" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_needs_command" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_needs_command" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_needs_command" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_needs_command" -s V -l version -d 'Print version'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "login" -d 'Log in with your browser, on this device or another'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "logout" -d 'Log out: revoke this login at the server and delete it here'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "whoami" -d 'Show who you are here, and where each setting comes from'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "run" -d 'Do one task and exit'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "chat" -d 'Talk with the agent'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "resume" -d 'Go on with a run that waits for your approval or was cut off'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "approvals" -d 'See, wait for and give up approvals'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "runs" -d 'See and delete saved conversations'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "tools" -d 'List, show, check and call tools'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "can" -d 'Say whether a call would be permitted, and whether your device would ring'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "why" -d 'Say how a past call was decided: policy, permission, approval, token, outcome'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "connections" -d 'List, connect and disconnect accounts at third parties'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "audit" -d 'Read, verify and export the log of everything that was done'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "token" -d 'Print a fresh access token, for scripts'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "demo" -d 'See the whole story on a machine with nothing set up'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "dev" -d 'Run a whole tenant on this machine: login, phone, shop, model'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "panic" -d 'Stop everything: nothing more is carried out, what waits is given up, and this login is revoked'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "doctor" -d 'Check the set-up and say how to mend it'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "config" -d 'Make, show and find the configuration'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "generate" -d 'Print shell completions or a schema, or write man pages'
complete -c agentctl -n "__fish_agentctl_needs_command" -f -a "help" -d 'Show the help of a command or of a topic'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l complete -d 'Go on with a login begun by --no-wait' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l audience -d 'Ask for a token for this API as well' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l resource -d 'The same for servers that go by resource' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l scope -d 'Ask for this scope as well (repeat for more)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l store -d 'Where to keep the login: keyring or file' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l timeout -d 'Give up after this time (90, 90s, 5m)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l no-browser -d 'Never open a browser'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l no-wait -d 'Print the address and the code, and return instead of waiting (exit 10)'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand login" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l all -d 'Log out of every profile, not only of the one in use'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -s y -l yes -d 'Do not ask before logging out of every profile'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand logout" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand whoami" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l output-last -d 'Also write the answer into this file, as a whole or not at all' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l system -d 'Add the text of this file to what the model is told at the beginning' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l tools -d 'Offer the model only these tools (`resume` offers all of them again)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -s m -l model -d 'Ask this model' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l max-turns -d 'Ask the model at most this often for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l max-spend -d 'Refuse calls that could spend more than this in total ("900 EUR"; a number alone counts in any currency)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l max-tokens-total -d 'Stop when the model has read and written this many tokens for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l timeout -d 'Give up after this time (90, 90s, 5m); what waits for your approval then can be resumed' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l on-approval -d 'What to do about a call that needs your approval: wait for it, detach and leave it pending, or deny the call' -r -f -a "wait\t''
detach\t''
deny\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l no-tools -d 'Offer the model no tool'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l dry-run -d 'Let the model plan, say of every call whether it would run, and do none'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand run" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s m -l model -d 'Ask this model' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l max-turns -d 'Ask the model at most this often for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l max-spend -d 'Refuse calls that could spend more than this in total ("900 EUR"; a number alone counts in any currency)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l max-tokens-total -d 'Stop when the model has read and written this many tokens for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l resume -d 'Go on with the conversation of this run; without RUN, choose one' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s c -l continue -d 'Go on with the newest conversation'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand chat" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -s m -l model -d 'Ask this model' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l max-turns -d 'Ask the model at most this often for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l max-spend -d 'Refuse calls that could spend more than this in total ("900 EUR"; a number alone counts in any currency)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l max-tokens-total -d 'Stop when the model has read and written this many tokens for one task' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l timeout -d 'Give up after this time (90, 90s, 5m); what waits for your approval then can be resumed' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l on-approval -d 'What to do about a call that needs your approval: wait for it, detach and leave it pending, or deny the call' -r -f -a "wait\t''
detach\t''
deny\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l last -d 'The newest run that waits or was cut off'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand resume" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -f -a "list" -d 'List what waits, or with --all everything that was asked'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -f -a "show" -d 'Show one approval with everything that was asked'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -f -a "wait" -d 'Wait for answers; many at once cost no more than one'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and not __fish_seen_subcommand_from list show wait abandon" -f -a "abandon" -d 'Give one up: a later yes is not used. Your device may go on showing it'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l all -d 'Also those that are over'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l timeout -d 'Give up after this time (90, 90s, 5m)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l all -d 'Every open one'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from wait" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand approvals; and __fish_seen_subcommand_from abandon" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -f -a "list" -d 'List runs, the newest first'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -f -a "show" -d 'Show a run: its conversation and its approvals'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and not __fish_seen_subcommand_from list show delete" -f -a "delete" -d 'Delete a run and its approvals from the journal'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l all -d 'Also the calls of `tools call` that are over'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l force -d 'Also if something of it is still pending; that is given up, and can then not be resumed'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand runs; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -f -a "list" -d 'List the tools, and those that are not offered and why'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -f -a "show" -d 'Show one tool with its parameters'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -f -a "check" -d 'Check a toolset file or a policy file for mistakes'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and not __fish_seen_subcommand_from list show check call" -f -a "call" -d 'Call a tool without a model; permission, approval and audit are the same'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l arg -d 'An argument; read as JSON where the tool wants something other than text (repeat for more)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l args-json -d 'All arguments as one JSON object' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l timeout -d 'Give up after this time (90, 90s, 5m); what waits for your approval then can be resumed' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l on-approval -d 'What to do about a call that needs your approval: wait for it, detach and leave it pending, or deny the call' -r -f -a "wait\t''
detach\t''
deny\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand tools; and __fish_seen_subcommand_from call" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l arg -d 'An argument; read as JSON where the tool wants something other than text (repeat for more)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l args-json -d 'All arguments as one JSON object' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand can" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand why" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -f -a "list" -d 'List the connected accounts, and what can be connected'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -f -a "connect" -d 'Connect an account, in a browser on this machine'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and not __fish_seen_subcommand_from list connect disconnect" -f -a "disconnect" -d 'Remove a connected account from the tenant'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l scope -d 'Connect with exactly this scope (repeat for more); without it, with what your tools need and what it had before' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l timeout -d 'Give up after this time (90, 90s, 5m)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l no-browser -d 'Never open a browser'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from connect" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -s y -l yes -d 'Do not ask'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand connections; and __fish_seen_subcommand_from disconnect" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -f -a "list" -d 'List the entries, oldest first'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -f -a "show" -d 'Show one action: what was asked, who allowed it, how it ended'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -f -a "verify" -d 'Check the chain, the seals and the issuer\'s signatures; exit code 1 if something does not hold'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and not __fish_seen_subcommand_from list show verify export" -f -a "export" -d 'Write the log, or the receipt of one action, to standard output'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l run -d 'Only this run' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l tool -d 'Only calls of this tool' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l outcome -d 'Only what ended like this (done, denied, expired, unknown, ...)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l since -d 'Only what was asked at this time or later: 2026-01-31, 2026-01-31T08:00:00Z, or how long ago (90s, 15m, 8h, 7d)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l until -d 'Only what was asked before this time' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l action -d 'Only this action' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l limit -d 'Only the newest N' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -s f -l follow -d 'Go on printing entries as they are written, until ^C; with --json one object a line'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l receipt -d 'Check a receipt that `audit export --receipt` made; needs neither the log nor a key' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l chain-only -d 'Only the chain: the credential store is left alone, seals and approvals are not checked'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l run -d 'Only this run' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l tool -d 'Only calls of this tool' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l outcome -d 'Only what ended like this (done, denied, expired, unknown, ...)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l since -d 'Only what was asked at this time or later: 2026-01-31, 2026-01-31T08:00:00Z, or how long ago (90s, 15m, 8h, 7d)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l until -d 'Only what was asked before this time' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l action -d 'Only this action' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l limit -d 'Only the newest N' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l format -d 'JSON with every entry, or CSV with one row for each action' -r -f -a "json\t''
csv\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l receipt -d 'One action, in a form that somebody else can check with `audit verify --receipt`' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l tokens -d 'Put the issuer\'s signed tokens into the receipt, once they have expired: they name the person'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l audience -d 'The API it is for' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l resource -d 'The API\'s address, for servers that go by resource (RFC 8707)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l scope -d 'A scope it must have (repeat for more)' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand token" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l phone -d 'Who answers on the phone: you, in a browser or in this terminal, or the phone by itself' -r -f -a "browser\t''
terminal\t''
approve\t''
deny\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand demo" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l listen -d 'Where the tenant listens' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l manage -d 'Where the management API listens' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l interval -d 'Seconds between polls that clients are told' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l leeway -d 'Seconds during which a rotated refresh token may be used once more' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l preset -d 'Whose habits to show: auth0, keycloak or oidc' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l script -d 'The turns the model plays, as a JSON file' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l seed -d 'Make the model\'s chance repeatable' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l unsafe-listen -d 'Allow addresses that other machines can reach'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand dev" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand panic" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -f -a "init" -d 'Write a commented config.toml, asking for what is needed'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -f -a "show" -d 'Show every setting and where it comes from'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -f -a "path" -d 'Print where the configuration file and the other folders are'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -f -a "client-key" -d 'Make a key pair for a client role, or take in its secret'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and not __fish_seen_subcommand_from init show path client-key set-key" -f -a "set-key" -d 'Take in the API key of a model from stdin'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l provider -d 'What kind of server: auth0, keycloak or oidc' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l issuer -d 'The issuer\'s address' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l client-id -d 'The public client that logs you in' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l approval-client-id -d 'The confidential client that asks for approvals' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l permission -d 'What permissions of tools are checked against: fga, or none' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l model -d 'The model' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l base-url -d 'The model\'s address, if it is not OpenAI\'s' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -s y -l yes -d 'Replace an existing file (the old one is kept beside it)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l secret -d 'Take in a client secret from stdin instead'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -s y -l yes -d 'Replace a credential that is there already'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from client-key" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l delete -d 'Forget the key'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand config; and __fish_seen_subcommand_from set-key" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -f -a "completions" -d 'Print the completion script of a shell'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -f -a "man" -d 'Write the man pages, one for each command, into a folder'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and not __fish_seen_subcommand_from completions man events-schema" -f -a "events-schema" -d 'Print the JSON Schema of the lines of `run --json`'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from completions" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from man" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand generate; and __fish_seen_subcommand_from events-schema" -s h -l help -d 'Print help'
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -s p -l profile -d 'Use this profile of config.toml' -r
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -l config -d 'Read this file instead of config.toml' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -l env-file -d 'Read variables from this file (you trust it by naming it)' -r -F
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -l color -d 'When to use colours' -r -f -a "auto\t''
always\t''
never\t''"
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -s q -l quiet -d 'Say only what you have to act on'
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -s v -l verbose -d 'Say more about what happens inside (repeat for more)'
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -l no-input -d 'Never ask anything at the terminal'
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -l json -d 'Print data as JSON, errors included'
complete -c agentctl -n "__fish_agentctl_using_subcommand help" -s h -l help -d 'Print help'
