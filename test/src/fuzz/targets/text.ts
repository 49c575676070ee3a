import { applySet, configToYaml, knownKeys, parseConfig, parseYaml, presets } from '@manyhands/core/config';
import { formatJoinUrl, parseJoinUrl } from '@manyhands/proto';
import { fromJson, trainBpe, trainChar } from '@manyhands/tokenizer';
import { textOf } from '../mutate.js';
import type { Target } from '../target.js';

const SAMPLE = 'the whale and the sea: 12 days, naïve 日本 👍\n';

const config: Target = {
  form: 'text',
  share: 4,
  open: async () => ({
    seeds: [
      configToYaml(parseConfig({})),
      configToYaml(
        parseConfig({ model: { arch: 'llama', heads: 4, kvHeads: 2 }, optimizer: { name: 'muon' } }),
      ),
      'run: {steps: 10, maxTime: 1.5h}\ndata:\n  sources: [a.txt, {path: b, weight: 2}]\n',
      'data:\n  sources: [{path: c, name: d, heldOut: true}, {path: e, weight: [[0, 1], [9, 0.5]]}, f]\n',
      'data: {sources: &a [x.txt], temperature: 3}\nrun: {seed: 1} # a comment\n',
      '',
    ].map((text) => Buffer.from(text)),
    read: (input) => {
      const config = parseConfig(parseYaml(textOf(input), 'config.yaml'));
      const again = parseConfig(parseYaml(configToYaml(config), 'config.yaml'));
      if (configToYaml(again) !== configToYaml(config)) throw new TypeError('a config does not read back');
    },
  }),
};

const assignments: Target = {
  form: 'text',
  share: 4,
  open: async () => ({
    seeds: ['run.steps=100', 'optimizer.betas=[0.9, 0.95]', 'data.sources=[a.txt, b.txt]', 'model.dropout=0']
      .concat(
        knownKeys
          .filter((key) => !/^(?:data|schedule|cluster|model)\.|betas|name|nesterov/.test(key))
          .map((key) => `${key}=${exampleOf(key)}`),
      )
      .map((text) => Buffer.from(text)),
    read: (input) => parseConfig(applySet({}, textOf(input))),
  }),
};

/** The preset's own value of a key. */
function exampleOf(key: string): string {
  const [section, leaf] = key.split('.');
  const found: unknown = Reflect.get(Object(Reflect.get(presets.nano, section)), leaf);
  return JSON.stringify(found ?? null);
}

const tokenizer: Target = {
  form: 'json',
  share: 8,
  open: async () => {
    const texts = Array.from({ length: 20 }, () => SAMPLE);
    const bpe = await trainBpe(texts, { vocabSize: 280, pattern: 'gpt2' });
    const char = await trainChar(texts);
    return {
      seeds: [bpe.toJson(), char.toJson()].map((text) => Buffer.from(text)),
      read: (input) => {
        const read = fromJson(textOf(input));
        const again = fromJson(read.toJson());
        if (again.hash !== read.hash) throw new TypeError('a tokenizer does not read back');
        const ids = read.encode(SAMPLE, { allowSpecial: true });
        if (!read.decode(ids).startsWith('the whale')) throw new TypeError('a text does not come back');
      },
    };
  },
};

const joinUrl: Target = {
  form: 'text',
  share: 8,
  open: async () => ({
    seeds: [
      formatJoinUrl({ host: '127.0.0.1', port: 7070, token: 'a-token' }),
      formatJoinUrl({ host: '::1', port: 1, token: 'x'.repeat(32) }),
      formatJoinUrl({ host: 'node-1.cluster.local', port: 65535, token: 'a token & more' }),
    ].map((text) => Buffer.from(text)),
    read: (input) => {
      const read = parseJoinUrl(textOf(input));
      const again = parseJoinUrl(formatJoinUrl(read));
      if (JSON.stringify(again) !== JSON.stringify(read))
        throw new TypeError('a join URL does not read back');
    },
  }),
};

/** Texts that people write or pass on. */
export const textTargets = {
  config,
  'set-option': assignments,
  'tokenizer.json': tokenizer,
  'join-url': joinUrl,
} as const satisfies Record<string, Target>;
