import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { readSafetensors } from '@manyhands/core/checkpoint';
import type { Browser, Page } from 'playwright-core';
import { manyhands, temporaryFolder, tiny } from '../cli/command-line.js';
import { assertFits, noBrowser, openBrowser, visit, type Window, windows } from './browser.js';

/** Text that would be markup, an end of the script, or a picture from elsewhere if it were not kept as text. */
const hostile = '</script><img src=x onerror=alert(1)>&amp;';
const question = ['--prompt', `2 x 2 is ${hostile} `, '--answer', '49'];

describe('the page of explain', { skip: noBrowser ?? false }, () => {
  const hooks: (() => unknown)[] = [];
  const context = { after: (hook: () => unknown) => void hooks.unshift(hook) };
  const folder = temporaryFolder(context);
  const file = path.join(folder, 'page.html');
  const model = path.join(folder, 'run');
  let browser: Browser;
  // What the same command says in JSON, and what one step makes of the weights: by other code than the page's.
  let told: Told;

  const run = async (...args: string[]) => {
    const { status, stdout, stderr } = await manyhands(args, { cwd: folder });
    assert.equal(status, 0, stderr);
    return stdout;
  };

  before(async () => {
    writeFileSync(path.join(folder, 'text.txt'), `2 x 2 is ${hostile} 4, 3 x 3 is 9.\n`.repeat(60));
    await run(
      ...[
        'train',
        '--data',
        'text.txt',
        '--out',
        'run',
        '--steps',
        '200',
        '--seed',
        '3',
        '--set',
        'optimizer.lr=0.01',
      ],
      ...tiny,
    );
    told = JSON.parse(
      await run('explain', '--model', 'run', ...question, '--steps', '3', '--html', file, '--json'),
    );
    await run('explain', '--model', 'run', ...question, '--dump', 'one-step.safetensors');
    browser = await openBrowser(context);
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  const drawn = (page: Page) => page.locator('#step-loss').filter({ hasText: 'loss' }).waitFor();
  const open = (look: (page: Page) => Promise<void>, window?: Partial<Window>) =>
    visit(browser, file, drawn, look, window);

  for (const window of windows) {
    it(`fits ${window.width} pixels, ${window.colorScheme}`, () =>
      open((page) => assertFits(page, window), window));
  }

  it('keeps text as text', async () => {
    await open(async (page) => {
      assert.equal(await page.locator('img').count(), 0);
      const shown = (await page.locator('.question').textContent()) ?? '';
      assert.ok(shown.endsWith('onerror=alert(1)>&amp;  → 49'.slice(-14)), shown);
      assert.equal(await page.locator('#tokens li').count(), told.tokens.length + 1);
    });
  });

  it('follows the slider by the keys of the keyboard, and tells each step’s loss', async () => {
    await open(async (page) => {
      const { losses } = told;
      const loss = (step: number) => `loss ${losses[step].toFixed(4)} → ${losses[step + 1].toFixed(4)}`;
      const slider = page.locator('#step');
      await slider.focus();
      for (const [key, step] of [
        ['Home', 0],
        ['ArrowRight', 1],
        ['End', 2],
        ['ArrowLeft', 1],
      ] as const) {
        await page.keyboard.press(key);
        assert.equal(await page.locator('#step-loss').textContent(), loss(step));
        assert.equal(await page.locator('#loss-after').textContent(), loss(step));
        assert.equal(await slider.getAttribute('aria-valuetext'), `Step ${step + 1} of 3`);
      }
    });
  });

  it('says what was expected, and what the model said instead', async () => {
    await open(async (page) => {
      const verdicts = await page.locator('#prediction .verdict').allInnerTexts();
      const { predictions } = told;
      assert.equal(verdicts.length, predictions.length);
      predictions.forEach(({ answer, guesses: [best] }, i) => {
        const percent = `${Number((100 * best.probability).toPrecision(2))}%`;
        assert.ok(verdicts[i].includes(`expected “${answer.token}”`), verdicts[i]);
        assert.ok(verdicts[i].endsWith(` ${percent}.`), verdicts[i]);
      });
    });
  });

  it('shows the weights that moved most as a step of the same command moved them', async () => {
    const after = readSafetensors(path.join(folder, 'one-step.safetensors')).tensors;
    const before = readSafetensors(path.join(modelOf(model), 'model.safetensors')).tensors;
    const changes = [...before].flatMap(([name, { data }]) =>
      Array.from(data, (value, i) => Math.abs((after.get(`after.${name}`)?.data[i] ?? Number.NaN) - value)),
    );
    const furthest = changes.sort((a, b) => b - a).slice(0, 10);
    await open(async (page) => {
      const rows = await page.locator('#moved tbody tr').allInnerTexts();
      assert.equal(rows.length, 10);
      rows.forEach((row, i) => {
        const [weight, change, from] = row.split('\t');
        const [, name, index] = /^(.*)\[(.*)\]$/.exec(weight) ?? [];
        const tensor = before.get(name);
        const moved = after.get(`after.${name}`);
        assert.ok(tensor && moved, weight);
        const at = index.split(',').reduce((flat, part, axis) => flat * tensor.shape[axis] + Number(part), 0);
        close(number(change), moved.data[at] - tensor.data[at]);
        close(Math.abs(number(change)), furthest[i]);
        close(number(from), tensor.data[at]);
      });
    });
  });

  it('walks the graph by its keys, and each node has the numbers of the graph', async () => {
    await open(async (page) => {
      const { graph } = told;
      const operations = graph.filter(({ operation }) => operation !== 'parameter' && operation !== 'input');
      await page.locator('svg.graph').focus();
      await page.keyboard.press('Home');
      for (const node of operations) {
        const detail = page.locator('.detail');
        assert.equal(await detail.locator('h3').textContent(), `#${node.id} ${node.operation}`);
        const terms = await detail.locator('dt').allInnerTexts();
        const values = await detail.locator('dd').allInnerTexts();
        const shown = new Map(terms.map((term, i) => [term, values[i]]));
        assert.equal(shown.get('shape'), `[${node.shape.join(', ')}]`);
        for (const key of ['mean', 'deviation', 'least', 'greatest'] as const) {
          close(number(shown.get(key)), node.output[key]);
        }
        close(number(shown.get('gradient length')), node.gradientNorm ?? Number.NaN);
        await page.keyboard.press('ArrowDown');
      }
      await page.keyboard.press('ArrowLeft');
      assert.equal(
        await page.locator('.detail h3').textContent(),
        `#${operations.at(-1)?.inputs.at(-1)} input`,
      );
      await page.keyboard.press('ArrowRight');
      assert.equal(await page.locator('.detail h3').textContent(), `#${operations.at(-1)?.id} crossEntropy`);
      const width = async () =>
        Number((await page.locator('svg.graph').getAttribute('viewBox'))?.split(' ')[2]);
      const usual = await width();
      await page.keyboard.press('+');
      assert.ok((await width()) < usual);
      await page.keyboard.press('0');
      assert.ok((await width()) > usual, 'all of it is wider than a part');
    });
  });

  it('shows inference as generate does it, with the weights as they were', async () => {
    const generated = JSON.parse(
      await run(
        'generate',
        ...['--model', 'run', '--temperature', '0', '--max-tokens', '12', '--json', ...question.slice(0, 2)],
      ),
    );
    const { weightsSha256 } = JSON.parse(await run('inspect', modelOf(model), '--json'));
    await open(async (page) => {
      await page.locator('#token').focus();
      const ids: number[] = [];
      for (let i = 0; i < 12; i++) {
        if (i > 0) {
          const fed = await page.locator('#fed small').allInnerTexts();
          await page.keyboard.press('ArrowRight');
          assert.notDeepEqual(fed, []);
          const next = await page.locator('#fed small').allInnerTexts();
          assert.equal(next.at(-1), String(ids.at(-1)), 'what it wrote is fed back');
        }
        const [first] = await page.locator('#candidates tbody tr small').allInnerTexts();
        ids.push(Number(first));
      }
      assert.deepEqual(ids, generated.tokens);
      assert.ok(new Set(ids).size > 2, 'a text of some variety');
      assert.equal(await page.locator('#weights-changed').textContent(), 'Weights changed: none');
      const hashes = await page.locator('#inference .hashes code').allInnerTexts();
      assert.deepEqual(hashes, [weightsSha256, weightsSha256]);
    });
  });

  it('shows for every head where each token looks, and every row adds up', async () => {
    await open(async (page) => {
      assert.equal(await page.locator('#attention .gallery button').count(), 2);
      await page.locator('#attention .gallery button').nth(1).focus();
      await page.keyboard.press('Enter');
      await page.locator('#attention select').nth(1).selectOption({ index: 5 });
      assert.match((await page.locator('#attention h3').textContent()) ?? '', /^Layer 0, head 1: /);
      const shares = await page.locator('#attention tbody tr td:nth-child(2)').allInnerTexts();
      assert.equal(shares.length, 6, 'token 5 sees itself and the five before it');
      const sum = shares.reduce((total, share) => total + Number.parseFloat(share), 0);
      assert.ok(Math.abs(sum - 100) < 3, `${sum}`);
    });
  });

  it('is all reached by Tab, and what has the focus is seen', async () => {
    await open(async (page) => {
      const controls = 'a, button, select, input, [tabindex="0"]';
      const count = await page.locator(controls).count();
      const reached = new Set<unknown>();
      for (let i = 0; i < count; i++) {
        await page.keyboard.press('Tab');
        const [index, outline] = (await page.evaluate(
          `[[...document.querySelectorAll('${controls}')].indexOf(document.activeElement), getComputedStyle(document.activeElement).outlineStyle]`,
        )) as [number, string];
        assert.notEqual(outline, 'none');
        reached.add(index);
      }
      assert.equal(reached.size, count);
      assert.ok(!reached.has(-1));
    });
  });
});

/** What `explain --json` says. */
interface Told {
  readonly losses: readonly number[];
  readonly tokens: readonly unknown[];
  readonly predictions: readonly {
    readonly answer: { readonly token: string };
    readonly guesses: readonly { readonly probability: number }[];
  }[];
  readonly graph: readonly {
    readonly id: number;
    readonly operation: string;
    readonly shape: readonly number[];
    readonly inputs: readonly number[];
    readonly output: Readonly<Record<'mean' | 'deviation' | 'least' | 'greatest', number>>;
    readonly gradientNorm: number | null;
  }[];
}

/** The one checkpoint of a run of 200 steps. */
function modelOf(run: string): string {
  return path.join(run, 'checkpoints', 'step-000200');
}

/** A number as the page writes it. */
function number(text: string | undefined): number {
  return Number.parseFloat((text ?? '').replaceAll('−', '-'));
}

/** Equal in the three digits that a page shows. */
function close(shown: number, exact: number): void {
  assert.ok(Math.abs(shown - exact) <= 0.006 * Math.abs(exact) + 1e-12, `${shown} is not ${exact}`);
}
