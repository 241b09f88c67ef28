# OpenBao for compose.yaml: one node, TLS, values on a volume; it unseals itself with a key on another volume.
# The `initialize` block runs once, on empty storage; no root token ever exists. Keep the volume bao-keys apart from
# bao-data in backups: together they are everything.
storage "raft" {
  path                   = "/bao/data"
  node_id                = "n1"
  performance_multiplier = "1"
}
listener "tcp" {
  address       = "0.0.0.0:8200"
  tls_cert_file = "/bao/keys/server.pem"
  tls_key_file  = "/bao/keys/server.key"
}
api_addr              = "https://openbao:8200"
cluster_addr          = "https://openbao:8201"
disable_standby_reads = true
seal "static" {
  current_key_id = "k1"
  current_key    = "file:///bao/keys/unseal.key"
}
audit "file" "main" {
  options { file_path = "/bao/data/audit.log" }
}
initialize "rotator" {
  request "kv" {
    operation = "update"
    path      = "sys/mounts/secret"
    data      = { type = "kv", options = { version = "2" } }
  }
  request "approle" {
    operation = "update"
    path      = "sys/auth/approle"
    data      = { type = "approle" }
  }
  request "policy" {
    operation = "update"
    path      = "sys/policies/acl/rotator"
    data = {
      policy = { eval_type = "string", eval_source = "file", path = "/bao/keys/rotator-policy.hcl" }
    }
  }
  request "role" {
    operation = "update"
    path      = "auth/approle/role/rotator"
    data = {
      token_policies          = ["rotator"]
      token_no_default_policy = true
      token_ttl               = "1h"
      token_max_ttl           = "24h"
    }
  }
  request "role-id" {
    operation = "update"
    path      = "auth/approle/role/rotator/role-id"
    data      = { role_id = "rotator" }
  }
  request "secret-id" {
    operation = "update"
    path      = "auth/approle/role/rotator/custom-secret-id"
    data = {
      secret_id = { eval_type = "string", eval_source = "file", path = "/bao/keys/secret-id" }
    }
  }
}
