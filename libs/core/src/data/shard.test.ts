import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../config/index.js';
import {
  decodeHeader,
  encodeHeader,
  headerBytes,
  ShardWriter,
  verifyShard,
  vocabularyDigest,
} from './shard.js';
import { folder } from './testing.js';

const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

test('a header is read back as it was written', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          width: fc.constantFrom(2 as const, 4 as const),
          tokens: fc.nat({ max: 2 ** 40 }),
          blocks: fc.nat({ max: 2 ** 40 }),
          vocabulary: digest,
          sha256: digest,
        },
        { noNullPrototype: true },
      ),
      (header) => assert.deepEqual(decodeHeader(encodeHeader(header), 'shard'), header),
    ),
  );
});

test('any bytes are a header or a UserError; a header with any bit turned is an error', () => {
  const vocabulary = vocabularyDigest('v');
  const whole = encodeHeader({ width: 2, tokens: 10, blocks: 1, vocabulary, sha256: vocabulary });
  const refuses = (bytes: Buffer) => assert.throws(() => decodeHeader(bytes, 'shard.bin'), UserError);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => refuses(Buffer.from(bytes))));
  for (let bit = 0; bit < headerBytes * 8; bit++) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    refuses(bytes);
  }
  // Hostile, not damaged: counts that no file holds, with a hash that fits.
  refuses(
    encodeHeader({ width: 4, tokens: Number.MAX_SAFE_INTEGER, blocks: 1, vocabulary, sha256: vocabulary }),
  );
});

test('a shard is laid out as its description says', async (t) => {
  const path = join(folder(t), 'a.bin');
  const writer = await ShardWriter.create(path, 2, vocabularyDigest('v'));
  await writer.append(Uint16Array.of(1, 513));
  await writer.append(Uint16Array.of(65535));
  assert.ok(!existsSync(path), 'absent until it is whole');
  const { tokens, sha256 } = await writer.finish();
  assert.ok(!existsSync(`${path}.part`));
  const bytes = readFileSync(path);
  assert.equal(bytes.toString('latin1', 0, 4), 'MHTK');
  assert.deepEqual(
    [4, 8, 16, 24].map((at) => bytes.readUInt32LE(at)),
    [1, 2, 3, 2],
  );
  assert.equal(tokens, 3);
  assert.equal(bytes.toString('hex', 128), '01000102ffff');
  assert.equal(sha256, createHash('sha256').update(bytes.subarray(128)).digest('hex'));
  assert.equal((await verifyShard(path)).sha256, sha256);
});

test('damage anywhere in a shard is found, and told with the file and both hashes', async (t) => {
  const path = join(folder(t), 'a.bin');
  const writer = await ShardWriter.create(path, 4, vocabularyDigest('v'));
  await writer.append(Uint32Array.from({ length: 100 }, (_, at) => at * 1000));
  await writer.finish();
  const whole = readFileSync(path);
  for (const at of [0, 5, 20, 40, 70, 100, headerBytes, headerBytes + 200, whole.length - 1]) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    writeFileSync(path, bytes);
    await assert.rejects(verifyShard(path), UserError, `byte ${at}`);
  }
  const turned = Buffer.from(whole);
  turned.writeUInt8(9, headerBytes);
  writeFileSync(path, turned);
  await assert.rejects(
    verifyShard(path),
    /a\.bin is damaged: its tokens' sha256 should be [0-9a-f]{64} and is [0-9a-f]{64}; delete the folder/,
  );
  writeFileSync(path, whole.subarray(0, whole.length - 4));
  await assert.rejects(verifyShard(path), /a\.bin is damaged: 100 tokens need 528 bytes, it has 524/);
});

test('a full disk is told as one, and leaves nothing half-written', {
  skip: !existsSync('/dev/full'),
}, async (t) => {
  const path = join(folder(t), 'a.bin');
  symlinkSync('/dev/full', `${path}.part`);
  const writer = await ShardWriter.create(path, 2, vocabularyDigest('v'));
  await assert.rejects(writer.append(new Uint16Array(10)), (error: unknown) => {
    assert.ok(error instanceof Error && error.name === 'RunError');
    assert.match(
      error.message,
      /The disk is full while .*a\.bin was written: free some space .* are kept\.$/,
    );
    return true;
  });
  await writer.abandon();
  assert.ok(!existsSync(path) && !existsSync(`${path}.part`));
});
