"""The keys whose values anybody may see. A key that is missing here is masked: that is the safe side.

A path is dotted; `*` stands for one name, lists count for nothing. With `=env` the value is a list of NAME=value, of which the
names are shown.
"""

from __future__ import annotations

# https://distribution.github.io/distribution/about/configuration, and what GitLab's registry adds.
DISTRIBUTION = """
version loglevel log.level log.formatter log.accesslog.disabled log.accesslog.formatter log.fields.service
log.fields.environment log.hooks.type log.hooks.levels
storage.*.rootdirectory storage.*.maxthreads storage.*.region storage.*.regionendpoint storage.*.endpoint storage.*.authurl
storage.*.bucket storage.*.container storage.*.chunksize storage.*.multipartcopychunksize storage.*.multipartcopymaxconcurrency
storage.*.multipartcopythresholdsize storage.*.storageclass storage.*.objectacl storage.*.loglevel storage.*.keyfile
storage.*.forcepathstyle storage.*.maxrequestspersecond storage.*.maxretries storage.*.parallelwalk storage.*.domain
storage.cache.blobdescriptor storage.cache.blobdescriptorsize storage.tag.concurrencylimit
storage.maintenance.uploadpurging.age storage.maintenance.uploadpurging.interval
auth.*.realm auth.*.service auth.*.issuer auth.*.path auth.token.rootcertbundle auth.token.jwks auth.token.signingalgorithms
auth.token.autoredirectpath middleware.*.name middleware.storage.options.baseurl middleware.storage.options.duration
middleware.storage.options.privatekeyfile
http.addr http.net http.prefix http.host http.draintimeout http.tls.certificate http.tls.key http.tls.clientcas
http.tls.clientauth http.tls.minimumtls http.tls.ciphersuites http.tls.letsencrypt.cachefile http.tls.letsencrypt.hosts
http.debug.addr http.debug.prometheus.path http.headers.x-content-type-options http.headers.access-control-allow-origin
http.headers.access-control-allow-methods http.headers.access-control-max-age http.headers.strict-transport-security
notifications.endpoints.name notifications.endpoints.url notifications.endpoints.timeout notifications.endpoints.threshold
notifications.endpoints.maxretries notifications.endpoints.backoff notifications.endpoints.ignoredmediatypes
notifications.endpoints.ignore.mediatypes notifications.endpoints.ignore.actions
redis.addr redis.addrs redis.db redis.dialtimeout redis.readtimeout redis.writetimeout redis.pool.maxidle redis.pool.maxactive
redis.pool.size redis.pool.idletimeout redis.mainname
health.storagedriver.interval health.storagedriver.threshold health.file.file health.file.interval health.http.uri
health.http.statuscode health.http.timeout health.http.interval health.http.threshold health.tcp.addr health.tcp.timeout
health.tcp.interval health.tcp.threshold
proxy.remoteurl proxy.ttl proxy.exec.lifetime
validation.manifests.urls.allow validation.manifests.urls.deny validation.manifests.indexes.platforms
policy.repository.classes compatibility.schema1.signingkeyfile catalog.maxentries
database.host database.port database.dbname database.sslmode database.sslcert database.sslkey database.sslrootcert
database.connecttimeout database.draintimeout database.pool.maxidle database.pool.maxopen database.pool.maxlifetime
gc.maxbackoff gc.noidlebackoff gc.transactiontimeout gc.reviewafter gc.blobs.interval gc.blobs.storagetimeout
gc.manifests.interval
"""

# https://docs.gitlab.com/runner/configuration/advanced-configuration; and BuildKit's buildkitd.toml, which is ours whole.
RUNNER = """
concurrent check_interval log_level log_format shutdown_timeout connection_max_age listen_address
session_server.listen_address session_server.advertise_address session_server.session_timeout
runners.name runners.id runners.url runners.clone_url runners.executor runners.shell runners.limit runners.output_limit
runners.request_concurrency runners.builds_dir runners.cache_dir runners.token_obtained_at runners.token_expires_at
runners.tls-ca-file runners.environment=env runners.cache.Type runners.cache.Path runners.cache.MaxUploadedArchiveSize
runners.docker.image runners.docker.host runners.docker.tls_cert_path runners.docker.volumes runners.docker.extra_hosts
runners.docker.pull_policy runners.docker.network_mode runners.docker.shm_size runners.docker.cpus runners.docker.memory
runners.docker.allowed_images runners.docker.allowed_services runners.docker.allowed_pull_policies
runners.docker.services.name runners.docker.services.alias runners.docker.services.environment=env
registry.*.ca registry.*.http registry.location registry.insecure
"""

# RFC 7517: what a public key is made of.
JWKS = "keys.kty keys.n keys.e keys.kid keys.alg keys.use keys.crv keys.x keys.y keys.x5c keys.x5t"

# https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file, what a person needs to find the place.
DAEMON = """
insecure-registries debug data-root exec-root storage-driver log-driver log-level hosts group iptables ipv6 mtu bridge
live-restore features.buildkit features.containerd-snapshotter default-runtime runtimes.*.path
"""

# systemd.unit(5) and launchd.plist(5), as support/ writes them.
UNIT = (
    "Unit.Description Unit.Before Unit.After Unit.ConditionPathExists Service.Type Service.RemainAfterExit Service.ExecStart "
    "Service.ExecStop Service.KillMode Service.User Service.Environment=env Install.WantedBy "
    "Label ProgramArguments RunAtLoad AbandonProcessGroup"
)

# What the registry's HTTP API (OCI distribution spec) and the token protocol answer, at whatever depth.
ANSWERS = (
    "schemaVersion mediaType artifactType size digest config layers manifests subject platform architecture os variant "
    "name tags tag repositories type class action code message detail expires_in issued_at previous next"
)

# Names in a query, headers, and the parts of a challenge: of the registry's API and the token protocol.
QUERY = "scope service account client_id offline_token n last digest mount from artifacttype tag page"
HEADERS = """
accept accept-encoding accept-language accept-ranges age allow cache-control connection content-disposition
content-encoding content-length content-range content-type date docker-content-digest docker-distribution-api-version
docker-upload-uuid etag expect expires host if-none-match keep-alive last-modified oci-chunk-max-length
oci-chunk-min-length oci-filters-applied oci-subject pragma range retry-after server strict-transport-security te
trailer transfer-encoding upgrade user-agent vary warning x-content-type-options
"""
CHALLENGE = "realm service scope error error_description"
