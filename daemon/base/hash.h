/*
 * Fingerprints of bytes: a fast keyed one for tables of ids, a fast unkeyed one for checks of
 * records, a keyed one by which a body is known again, and SHA-256 for what is short and shared.
 */
#ifndef BATCHD_BASE_HASH_H
#define BATCHD_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_SHA256_SIZE 32
#define HASH_BODY_SIZE	 16

/*
 * 64 bits for a table of ids. key is drawn once per instance, so that nobody can prepare ids
 * that collide everywhere; a collision costs time, never correctness: compare the bytes too.
 */
uint64_t hash_keyed(uint64_t key, const void *bytes, size_t size);

/*
 * 64 bits by which bytes that changed on the disk are noticed, never 0: one piece, or fed piece by
 * piece with the same result.
 */
uint64_t hash_digest(const void *bytes, size_t size);
struct hash_digest;
struct hash_digest *hash_digest_new(void);
void hash_digest_add(struct hash_digest *digest, const void *bytes, size_t size);
/* Of what was added so far. */
uint64_t hash_digest_value(const struct hash_digest *digest);
/* NULL is fine. */
void hash_digest_free(struct hash_digest *digest);

/* 32 bits by which a flipped bit or a torn record is noticed. */
uint32_t hash_check(const void *bytes, size_t size);

/* SHA-256 (FIPS 180-4), fed piece by piece. */
struct hash_sha256;
struct hash_sha256 *hash_sha256_new(void);
void hash_sha256_add(struct hash_sha256 *sha256, const void *bytes, size_t size);
/* Writes HASH_SHA256_SIZE bytes; nothing may be added after. */
void hash_sha256_finish(struct hash_sha256 *sha256, uint8_t *ret_digest);
void hash_sha256_free(struct hash_sha256 *sha256);

/*
 * The fingerprint of a body of any size, fed piece by piece: GMAC (NIST SP 800-38D), five times as
 * fast as SHA-256. Two bodies share one with a probability below 2^-60, even if somebody who does
 * not know the key has chosen them. That holds as long as nobody is shown a fingerprint, for the
 * nonce is always the same: none may leave the process but into its own store.
 */
struct hash_body;
struct hash_body *hash_body_new(uint64_t key);
void hash_body_add(struct hash_body *body, const void *bytes, size_t size);
/* Writes HASH_BODY_SIZE bytes; nothing may be added after. */
void hash_body_finish(struct hash_body *body, uint8_t *ret_fingerprint);
/* NULL is fine. */
void hash_body_free(struct hash_body *body);

#endif
