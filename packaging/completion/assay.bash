# bash completion for assay: words come from `assay help --words`, so they are always those of the program.
_assay() {
	local current=${COMP_WORDS[COMP_CWORD]}
	COMPREPLY=()
	case $COMP_CWORD in
	1) mapfile -t COMPREPLY < <(compgen -W "$(assay help --words)" -- "$current") ;;
	2) mapfile -t COMPREPLY < <(compgen -W "$(assay help --words "${COMP_WORDS[1]}")" -- "$current") ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$(assay help --words "${COMP_WORDS[1]}" "${COMP_WORDS[2]}")" -- "$current") ;;
	esac
	[ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- "$current")
}
complete -o filenames -F _assay assay
