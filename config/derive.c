/* SPDX-License-Identifier: BSD-3-Clause */
#include "config/derive.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

enum { SHA256_BYTES = 32 };

static int hash(const char *text, uint8_t digest[SHA256_BYTES])
{
	return EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

static int serial_derive(struct config_subsystem *subsystem)
{
	uint8_t digest[SHA256_BYTES];
	int rc = hash(subsystem->nqn, digest);

	for (unsigned i = 0; rc == 0 && i < 10; i++)
		snprintf(subsystem->serial + 2 * i, 3, "%02X", digest[i]);
	return rc;
}

static int ids_derive(struct config_namespace *ns)
{
	char name[CONFIG_NQN_MAX + 16];
	uint8_t digest[SHA256_BYTES];
	int rc;

	snprintf(name, sizeof(name), "%s/%u", ns->subsystem, ns->nsid);
	rc = hash(name, digest);
	if (rc)
		return rc;
	if (!ns->has_uuid) {
		memcpy(ns->uuid, digest, 16);
		/* RFC 9562, 5.8: version 8 in these bits, the variant in those. */
		ns->uuid[6] = (uint8_t)(0x80 | (ns->uuid[6] & 0x0f));
		ns->uuid[8] = (uint8_t)(0x80 | (ns->uuid[8] & 0x3f));
		ns->has_uuid = true;
	}
	if (!ns->has_nguid) {
		memcpy(ns->nguid, digest + 16, 16);
		/* The OUI is in bytes 8 to 10 (NVM Command Set 1.0, 4.1.5.1); ours is made up. */
		ns->nguid[8] = (uint8_t)((ns->nguid[8] & ~0x01) | 0x02);
		ns->has_nguid = true;
	}
	return 0;
}

int config_derive(struct config *config)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < config->n_subsystems; i++) {
		if (config->subsystems[i].serial[0] == '\0')
			rc = serial_derive(&config->subsystems[i]);
	}
	for (unsigned i = 0; rc == 0 && i < config->n_namespaces; i++)
		rc = ids_derive(&config->namespaces[i]);
	return rc;
}
