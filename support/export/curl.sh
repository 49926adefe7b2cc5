# Written by gdkreg export curl: what is in @AUTHORITY@, asked step by step with curl.
# Run it: sh FILE [REPOSITORY [TAG]]. It changes nothing in the registry, and leaves layer.tar.gz here.
set -eu
REPOSITORY=${1:-@REPOSITORY@} TAG=${2:-latest}
REGISTRY=@REGISTRY@
?tls CA=@CA@
ACCEPT='application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'
ACCEPT="$ACCEPT, application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

?gitlab # A token for a scope, with a personal access token: export GITLAB_TOKEN=...
?gitlab : "${GITLAB_TOKEN:?a personal access token of GitLab}"
?gitlab jwt() {
?gitlab   printf 'user = "gitlab-token:%s"\n' "$GITLAB_TOKEN" |
?gitlab     curl -sSf -K - -G @REALM@ --data service=container_registry --data-urlencode "scope=$1" |
?gitlab     sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p'
?gitlab }
?local # A token for a scope, signed with the key that the stand-in issuer has.
?local jwt() { @GDKREG@ token "$1"; }
?auth # Its header goes to curl on stdin: no other program of this machine sees it there.
?auth ask() {
?auth   printf 'header = "Authorization: Bearer %s"\n' "$GITLAB_REGISTRY_JWT" | curl -sSf -K - @TRUST@"$@"
?auth }
?!auth ask() { curl -sSf @TRUST@"$@"; }

echo "== the repositories"
?auth GITLAB_REGISTRY_JWT=$(jwt 'registry:catalog:*')
ask "$REGISTRY/v2/_catalog"
echo
echo "== the tags of $REPOSITORY"
?auth GITLAB_REGISTRY_JWT=$(jwt "repository:$REPOSITORY:pull")
ask "$REGISTRY/v2/$REPOSITORY/tags/list"
echo
echo "== the manifest of $REPOSITORY:$TAG"
MANIFEST=$(ask -H "Accept: $ACCEPT" "$REGISTRY/v2/$REPOSITORY/manifests/$TAG")
printf '%s\n' "$MANIFEST"
echo "== its last layer"
LAYER=$(printf '%s' "$MANIFEST" | tr -d ' \t\r\n' | sed -n 's/.*"layers":\[.*"digest":"\([^"]*\)".*/\1/p')
if [ -n "$LAYER" ]; then
  ask -L -o layer.tar.gz "$REGISTRY/v2/$REPOSITORY/blobs/$LAYER"
  echo "$LAYER is in layer.tar.gz"
else
  echo "an image for several platforms has its layers in the manifests that it lists"
fi
