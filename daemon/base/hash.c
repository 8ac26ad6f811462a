#include "daemon/base/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <xxhash.h>

#include "daemon/base/alloc.h"

struct hash_sha256 {
	EVP_MD_CTX *context;
};

/* libcrypto fails here for want of memory alone, and then we stop as everywhere. */
static void require(int is_done)
{
	if (!is_done)
		abort();
}

uint64_t hash_keyed(uint64_t key, const void *bytes, size_t size)
{
	return XXH3_64bits_withSeed(bytes, size, key);
}

uint32_t hash_check(const void *bytes, size_t size)
{
	return (uint32_t)XXH3_64bits(bytes, size);
}

struct hash_sha256 *hash_sha256_new(void)
{
	struct hash_sha256 *sha256 = xcalloc(1, sizeof(*sha256));

	sha256->context = EVP_MD_CTX_new();
	require(sha256->context && EVP_DigestInit_ex(sha256->context, EVP_sha256(), NULL));
	return sha256;
}

void hash_sha256_add(struct hash_sha256 *sha256, const void *bytes, size_t size)
{
	require(EVP_DigestUpdate(sha256->context, bytes, size));
}

void hash_sha256_finish(struct hash_sha256 *sha256, uint8_t *ret_digest)
{
	require(EVP_DigestFinal_ex(sha256->context, ret_digest, NULL));
}

void hash_sha256_free(struct hash_sha256 *sha256)
{
	if (!sha256)
		return;
	EVP_MD_CTX_free(sha256->context);
	free(sha256);
}
