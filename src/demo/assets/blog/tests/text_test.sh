. "$root/tests/assert.sh"
. "$root/lib/text.sh"

same 'a title becomes a name' hello-world "$(slug 'Hello, World!')"
same 'nothing is left of signs alone' '' "$(slug '?!')"
fails 'an unknown command is refused' blog nonsense
fails 'a command is never a path' blog ../tests/run
holds 'help needs nothing' blog help
finish
