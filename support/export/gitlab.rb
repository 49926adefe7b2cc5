?external # Written by gdkreg export gitlab-rb: gdkreg's registry, with GitLab as its auth endpoint, for /etc/gitlab/gitlab.rb.
?!external # Written by gdkreg export gitlab-rb: GitLab's own bundled registry in the place of gdkreg's, for /etc/gitlab/gitlab.rb.
?external?tls # GitLab asks the registry at its API's address over TLS, so it has to trust the certificate:
?external?tls #   @TRUST@
?!external # Both want the same address: gdkreg stop registry goes first.
# Then: sudo gitlab-ctl reconfigure
?external gitlab_rails['registry_enabled'] = true
?external gitlab_rails['registry_host'] = "@HOST@"
?external?port gitlab_rails['registry_port'] = "@PORT@"
?external gitlab_rails['registry_api_url'] = "@API_URL@"
?external gitlab_rails['registry_issuer'] = "gitlab-issuer"
?external # A copy of the key, readable by root alone, where GitLab runs elsewhere.
?external registry['internal_key'] = File.read(@KEY@)
?!external registry_external_url '@EXTERNAL_URL@'
?!external?covered registry_nginx['ssl_certificate'] = @CERTIFICATE@
?!external?covered registry_nginx['ssl_certificate_key'] = @CERTIFICATE_KEY@
?!external?uncovered # With a certificate in another place than /etc/gitlab/ssl:
?!external?uncovered # registry_nginx['ssl_certificate'] = "/path/to/certificate.pem"
?!external?uncovered # registry_nginx['ssl_certificate_key'] = "/path/to/certificate.key"
?!external?clash # Behind its NGINX the registry listens on port 5000 unless it is told otherwise.
?!external?clash registry['registry_http_addr'] = "localhost:5001"
