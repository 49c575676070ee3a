import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../config/index.js';
import { openSafetensors, readSafetensors, safetensorsParts, writeSafetensors } from './safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'safetensors-'));
after(() => rmSync(folder, { recursive: true }));

/** A file with this header and so many bytes of data. */
function file(header: string | object, data: Uint8Array | number = 0, claimed?: bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(text.length));
  return Buffer.concat([length, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

test('tensors and metadata come back from a file as they went in, bit for bit', () => {
  const path = join(folder, 'round.safetensors');
  const tensors = [
    { name: 'matrix', shape: [2, 3], data: Float32Array.of(1, -0, Number.NaN, Infinity, 1e-45, 3.4e38) },
    { name: 'scalar', shape: [], data: Float32Array.of(7) },
    { name: 'nothing', shape: [0, 5], data: new Float32Array(0) },
    { name: '__proto__', shape: [1], data: Float32Array.of(8) },
    { name: 'ünï "quoted"', shape: [1], data: Float32Array.of(9) },
  ];
  writeSafetensors(path, tensors, { format: 'pt' });
  const { metadata, tensors: read } = readSafetensors(path);
  assert.deepEqual(metadata, { format: 'pt' });
  assert.deepEqual(
    [...read].map(([name, { shape, data }]) => ({ name, shape, data })),
    tensors,
  );
});

test('the header that is written is the format’s: aligned, JSON, offsets from its end', () => {
  const [header, ...data] = safetensorsParts([{ name: 'w', shape: [2], data: Float32Array.of(1, 2) }], {
    format: 'pt',
  });
  const length = Number(Buffer.from(header).readBigUInt64LE());
  assert.equal(length, header.length - 8);
  assert.equal(header.length % 8, 0);
  assert.deepEqual(JSON.parse(Buffer.from(header.subarray(8)).toString()), {
    __metadata__: { format: 'pt' },
    w: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
  });
  assert.deepEqual(Buffer.concat(data), Buffer.from('0000803f00000040', 'hex'));
});

test('values of half the width are read exactly', () => {
  const half = Buffer.from(
    Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0xfc00, 0x03ff, 0x3555).buffer,
  );
  const f16 = readSafetensors(file({ a: entry(0, 18, [9], 'F16') }, half)).tensors.get('a')?.data;
  assert.deepEqual(
    [...(f16 ?? [])],
    [1, -2, 2 ** -24, -0, 65504, Infinity, -Infinity, 1023 * 2 ** -24, 0.333251953125],
  );

  const brain = Buffer.from(Uint16Array.of(0x3f80, 0xc000, 0x0001, 0x8000, 0x7f80).buffer);
  const bf16 = readSafetensors(file({ a: entry(0, 10, [5], 'BF16') }, brain)).tensors.get('a')?.data;
  assert.deepEqual([...(bf16 ?? [])], [1, -2, 9.183549615799121e-41, -0, Infinity]);

  const double = Buffer.from(Float64Array.of(0.1, 1e300).buffer);
  const f64 = readSafetensors(file({ a: entry(0, 16, [2], 'F64') }, double)).tensors.get('a')?.data;
  assert.deepEqual([...(f64 ?? [])], [Math.fround(0.1), Infinity]);
});

test('a tensor that is not of floats may lie in a file, but is not read as weights', () => {
  const opened = openSafetensors(file({ mask: entry(0, 3, [3], 'BOOL'), w: entry(3, 7) }, 7));
  assert.deepEqual([...opened.tensors.keys()], ['mask', 'w']);
  assert.equal(opened.read('w').length, 1);
  assert.throws(() => opened.read('mask'), { name: 'UserError', message: /mask is BOOL, but must be F32/ });
});

const hostile: readonly [what: string, bytes: Uint8Array, reason: RegExp][] = [
  ['nothing', new Uint8Array(0), /it has 0 bytes/],
  ['a length beyond the file', file({}, 0, 9n), /claims 9 bytes of a file of 10/],
  ['a length beyond all memory', file({}, 0, 2n ** 63n), /claims 92233720\d+ bytes/],
  ['a header of random bytes', file('\u00ff\u0000{', 0), /is not JSON/],
  [
    'bytes that are not UTF-8',
    Buffer.concat([file('{"', 0, 5n), Buffer.of(0xff, 0x22, 0x7d)]),
    /is not JSON/,
  ],
  ['JSON cut short', file('{"a":'), /is not JSON/],
  ['nesting without end', file('['.repeat(100000)), /is not JSON/],
  ['an array as header', file('[]'), /not a JSON object/],
  [
    'a name given twice',
    file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    /names "a" twice/,
  ],
  [
    'a name given twice, once in disguise',
    file(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    /names "a" twice/,
  ],
  [
    'a field given twice',
    file('{"a":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}}', 8),
    /names "shape" twice/,
  ],
  ['overlapping tensors', file({ a: entry(0, 8), b: entry(4, 12) }, 12), /"b" overlaps/],
  ['the same bytes twice', file({ a: entry(0, 8), b: entry(0, 8) }, 8), /"b" overlaps/],
  ['a hole', file({ a: entry(0, 4), b: entry(8, 12) }, 12), /bytes 4 to 8 belong to no tensor/],
  ['bytes after the last tensor', file({ a: entry(0, 4) }, 8), /bytes 4 to 8 belong to no tensor/],
  ['a tensor beyond the end', file({ a: entry(0, 400) }, 8), /ends at byte 400 of 8/],
  ['more values than bytes', file({ a: entry(0, 8, [3]) }, 8), /F32 \[3\], 12 bytes, but has 8/],
  [
    'an end before the beginning',
    file({ a: { dtype: 'F32', shape: [], data_offsets: [4, 0] } }, 4),
    /data_offsets is \[4,0\]/,
  ],
  [
    'a negative offset',
    file({ a: { dtype: 'F32', shape: [], data_offsets: [-4, 0] } }, 4),
    /data_offsets is \[-4,0\]/,
  ],
  [
    'offsets that are no numbers',
    file({ a: { dtype: 'F32', shape: [1], data_offsets: '04' } }, 4),
    /data_offsets is "04"/,
  ],
  ['a shape whose size overflows', file({ a: entry(0, 4, [2 ** 40, 2 ** 40]) }, 4), /is too large/],
  ['a negative side', file({ a: entry(0, 4, [-1, -1]) }, 4), /shape is \[-1,-1\]/],
  ['a broken side', file({ a: entry(0, 4, [0.5, 2]) }, 4), /shape is \[0.5,2\]/],
  ['an unknown dtype', file({ a: entry(0, 4, [1], 'F31') }, 4), /dtype is "F31", but must be one of BOOL/],
  ['a dtype of the prototype', file({ a: entry(0, 4, [1], 'constructor') }, 4), /dtype is "constructor"/],
  ['an entry that is a number', file({ a: 5 }, 0), /entry is not an object/],
  ['an unknown field', file({ a: { ...entry(0, 4), extra: 1 } }, 4), /unknown key "extra"/],
  ['metadata that is no text', file({ __metadata__: { a: 1 } }), /__metadata__ "a" is not a text/],
];

for (const [what, bytes, reason] of hostile) {
  test(`refused: ${what}`, () => {
    const path = join(folder, 'hostile.safetensors');
    writeFileSync(path, bytes);
    for (const source of [bytes, path]) {
      assert.throws(
        () => readSafetensors(source),
        (error) =>
          error instanceof UserError && reason.test(error.message) && /safetensors/.test(error.message),
      );
    }
  });
}

test('a file that is missing, or a folder, is refused by its name', () => {
  assert.throws(() => readSafetensors(join(folder, 'none')), {
    name: 'UserError',
    message: /none cannot be read \(no such file\)/,
  });
  assert.throws(() => readSafetensors(folder), { name: 'UserError', message: /is not a file/ });
});

test('no change of bytes in a file makes the reader throw anything but a UserError, or give what is not there', () => {
  const tensors = [
    { name: 'a', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    { name: 'b', shape: [3], data: Float32Array.of(5, 6, 7) },
  ];
  const whole = Buffer.concat(safetensorsParts(tensors, { format: 'pt' }));
  const change = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.nat(whole.length), (changes, cut) => {
      const bytes = Buffer.from(whole);
      for (const { at, byte } of changes) bytes[at] = byte;
      for (const version of [bytes, bytes.subarray(0, cut)]) {
        try {
          const read = readSafetensors(version);
          const values = [...read.tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
          assert.ok(values <= version.length);
        } catch (error) {
          assert.ok(error instanceof UserError, String(error));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('what cannot be a file is not written', () => {
  const one = { name: 'a', shape: [1], data: Float32Array.of(1) };
  assert.throws(() => safetensorsParts([one, one]), /two tensors are named "a"/);
  assert.throws(() => safetensorsParts([{ ...one, shape: [2] }]), /\[2\] is not 1 values/);
  assert.throws(() => safetensorsParts([{ ...one, name: '__metadata__' }]), RangeError);
});

test('a tensor is read into the place that is given, if it fits', () => {
  const path = join(folder, 'large.safetensors');
  const values = new Float32Array(300_000).map((_, i) => i);
  writeSafetensors(path, [{ name: 'w', shape: [300_000], data: values }]);
  const opened = openSafetensors(path);
  const into = new Float32Array(300_000);
  assert.equal(opened.read('w', into), into);
  assert.deepEqual(into, values);
  assert.throws(() => opened.read('w', new Float32Array(5)), /w has 300000 values, but 5 are expected/);
  assert.throws(() => opened.read('v'), /has no tensor "v"/);
  opened.close();
});
