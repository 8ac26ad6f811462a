#include "daemon/base/hash.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
/* Three times as fast, where the processor has wider registers than every processor of its kind; the values are the same. */
#ifdef HAVE_XXH_DISPATCH
#include <xxh_x86dispatch.h>
#endif

#include "daemon/base/alloc.h"

#define BODY_PIECE (1 << 30) /* libcrypto counts in int */

struct hash_digest {
	XXH3_state_t *state;
};

struct hash_sha256 {
	EVP_MD_CTX *context;
};

struct hash_body {
	EVP_CIPHER_CTX *context;
};

/* The libraries fail here for want of memory alone, and then we stop as everywhere. */
static void require(int is_done)
{
	if (!is_done)
		alloc_give_up();
}

uint64_t hash_keyed(uint64_t key, const void *bytes, size_t size)
{
	return XXH3_64bits_withSeed(bytes, size, key);
}

uint32_t hash_check(const void *bytes, size_t size)
{
	return (uint32_t)XXH3_64bits(bytes, size);
}

/* 0 stands for "not known". */
static uint64_t known(uint64_t value)
{
	return value ? value : 1;
}

uint64_t hash_digest(const void *bytes, size_t size)
{
	return known(XXH3_64bits(bytes, size));
}

struct hash_digest *hash_digest_new(void)
{
	struct hash_digest *digest = xcalloc(1, sizeof(*digest));

	digest->state = XXH3_createState();
	require(digest->state && XXH3_64bits_reset(digest->state) == XXH_OK);
	return digest;
}

void hash_digest_add(struct hash_digest *digest, const void *bytes, size_t size)
{
	require(XXH3_64bits_update(digest->state, bytes, size) == XXH_OK);
}

uint64_t hash_digest_value(const struct hash_digest *digest)
{
	return known(XXH3_64bits_digest(digest->state));
}

void hash_digest_free(struct hash_digest *digest)
{
	if (!digest)
		return;
	(void)XXH3_freeState(digest->state);
	free(digest);
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

struct hash_body *hash_body_new(uint64_t key)
{
	static const uint8_t nonce[12];
	struct hash_body *body = xcalloc(1, sizeof(*body));
	uint8_t cipher_key[16] = { 0 };

	memcpy(cipher_key, &key, sizeof(key));
	body->context = EVP_CIPHER_CTX_new();
	require(body->context && EVP_EncryptInit_ex(body->context, EVP_aes_128_gcm(), NULL, cipher_key, nonce));
	return body;
}

/* Bytes that are authenticated and not encrypted: that is what GMAC is. */
void hash_body_add(struct hash_body *body, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;
	int done;

	while (size) {
		int piece = size < BODY_PIECE ? (int)size : BODY_PIECE;

		require(EVP_EncryptUpdate(body->context, NULL, &done, at, piece));
		at += piece;
		size -= (size_t)piece;
	}
}

void hash_body_finish(struct hash_body *body, uint8_t *ret_fingerprint)
{
	int done;

	require(EVP_EncryptFinal_ex(body->context, ret_fingerprint, &done) &&
		EVP_CIPHER_CTX_ctrl(body->context, EVP_CTRL_AEAD_GET_TAG, HASH_BODY_SIZE, ret_fingerprint));
}

void hash_body_free(struct hash_body *body)
{
	if (!body)
		return;
	EVP_CIPHER_CTX_free(body->context);
	free(body);
}
