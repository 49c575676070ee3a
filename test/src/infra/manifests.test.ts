import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { all, at, files, infra, read, readYaml, root, without } from './files.js';

const isTemplate = (file: string) => file.includes('/templates/');
const manifests = readYaml('kubernetes/manyhands.yaml');
const helm = process.env.HELM ?? 'helm';

const kind = (name: string) => manifests.filter((manifest) => at(manifest, 'kind') === name);
const nameOf = (manifest: unknown) => at(manifest, 'metadata', 'name');
const [coordinator] = kind('StatefulSet');
const [workers] = kind('Deployment');
const podOf = (owner: unknown) => at(owner, 'spec', 'template', 'spec');
const labelsOf = (owner: unknown) => at(owner, 'spec', 'template', 'metadata', 'labels');

/** Whether a selector's matchLabels fit the pods of that owner. */
function selects(labels: unknown, owner: unknown): boolean {
  return (
    typeof labels === 'object' &&
    labels !== null &&
    Object.entries(labels).every(([key, value]) => at(labelsOf(owner), key) === value)
  );
}

for (const file of files.filter((each) => /\.ya?ml$/.test(each) && !isTemplate(each))) {
  test(`${file} is YAML without an error or a warning`, () => assert.ok(readYaml(file).length > 0));
}

test('the manifests are what the issue of a cluster asks for, each with a name of its own', () => {
  const names = manifests.map((manifest) => `${at(manifest, 'kind')} ${nameOf(manifest)}`);
  assert.deepEqual(names.sort(), [
    'ConfigMap run-manyhands-coordinator',
    'Deployment run-manyhands-workers',
    'HorizontalPodAutoscaler run-manyhands-workers',
    'NetworkPolicy run-manyhands-coordinator',
    'NetworkPolicy run-manyhands-workers',
    'PodDisruptionBudget run-manyhands-workers',
    'Service run-manyhands-coordinator',
    'StatefulSet run-manyhands-coordinator',
  ]);
});

test('every selector finds the pods that it is for, and no others', () => {
  const [service] = kind('Service');
  const [budget] = kind('PodDisruptionBudget');
  const own = (owner: unknown) => at(owner, 'spec', 'selector', 'matchLabels');
  const policies = kind('NetworkPolicy').map((policy) => at(policy, 'spec', 'podSelector', 'matchLabels'));
  for (const [labels, mine, other] of [
    [at(service, 'spec', 'selector'), coordinator, workers],
    [own(coordinator), coordinator, workers],
    [own(workers), workers, coordinator],
    [at(budget, 'spec', 'selector', 'matchLabels'), workers, coordinator],
    [policies[0], coordinator, workers],
    [policies[1], workers, coordinator],
  ]) {
    assert.ok(selects(labels, mine), JSON.stringify(labels));
    assert.ok(!selects(labels, other), JSON.stringify(labels));
  }
});

test('what one manifest names, another one is', () => {
  assert.equal(at(coordinator, 'spec', 'serviceName'), nameOf(kind('Service')[0]));
  const target = at(kind('HorizontalPodAutoscaler')[0], 'spec', 'scaleTargetRef');
  assert.deepEqual([at(target, 'kind'), at(target, 'name')], ['Deployment', nameOf(workers)]);
  for (const owner of [coordinator, workers]) {
    const volumes = [...all(podOf(owner), 'volumes'), ...all(owner, 'volumeClaimTemplates')].flat();
    const known = volumes.map((volume) => at(volume, 'name') ?? nameOf(volume));
    const mounted = all(podOf(owner), 'volumeMounts')
      .flat()
      .map((mount) => at(mount, 'name'));
    assert.deepEqual([...new Set(mounted)].sort(), known.sort());
    for (const config of all(podOf(owner), 'configMap')) {
      assert.ok(kind('ConfigMap').some((each) => nameOf(each) === at(config, 'name')));
    }
  }
  assert.ok(at(kind('ConfigMap')[0], 'data', 'run.yaml'));
});

test('ports that are named by name are ports of the coordinator', () => {
  const ports = all(podOf(coordinator), 'ports').flat();
  const named = new Map(ports.map((port) => [at(port, 'name'), at(port, 'containerPort')]));
  const used = [...all(kind('Service'), 'targetPort'), ...all(kind('NetworkPolicy')[0], 'port')];
  for (const port of [...used, ...all(podOf(coordinator), 'httpGet').map((get) => at(get, 'port'))]) {
    assert.ok(named.has(port) || port === 53, String(port));
  }
  const args = String(all(podOf(coordinator), 'args').flat().join(' '));
  assert.match(args, new RegExp(`svc\\.cluster\\.local:${named.get('grpc')} `));
  assert.match(args, new RegExp(`--metrics 0\\.0\\.0\\.0:${named.get('metrics')} `));
  assert.ok(
    all(kind('NetworkPolicy')[1], 'port').includes(named.get('grpc')),
    'workers may dial the coordinator',
  );
});

test('workers may be dialled by nobody', () => {
  const policy = kind('NetworkPolicy')[1];
  assert.deepEqual(at(policy, 'spec', 'policyTypes'), ['Ingress', 'Egress']);
  assert.equal(at(policy, 'spec', 'ingress'), undefined);
});

test('no pod has rights that it does not need, and each has its limits', () => {
  for (const owner of [coordinator, workers]) {
    const pod = podOf(owner);
    assert.equal(at(pod, 'automountServiceAccountToken'), false);
    assert.equal(at(pod, 'securityContext', 'runAsNonRoot'), true);
    assert.deepEqual(at(pod, 'securityContext', 'seccompProfile'), { type: 'RuntimeDefault' });
    const container = at(pod, 'containers', 0);
    assert.deepEqual(at(container, 'securityContext'), {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    for (const part of [
      ['requests', 'cpu'],
      ['requests', 'memory'],
      ['limits', 'memory'],
    ]) {
      assert.ok(at(container, 'resources', ...part), part.join('.'));
    }
  }
  const container = at(podOf(coordinator), 'containers', 0);
  assert.ok(at(container, 'livenessProbe') && at(container, 'readinessProbe'));
});

test('every script and file that a container is started with is in the image', () => {
  const image = read('docker/Dockerfile');
  const called = [
    ...all(manifests, 'command').flat(),
    ...all(readYaml('docker/compose.yaml'), 'entrypoint').flat(),
    ...all(readYaml('docker/compose.yaml'), 'test').flat(),
  ].filter((word) => /\.(sh|mjs)$/.test(String(word)));
  assert.ok(called.length >= 4);
  for (const word of called) assert.ok(image.includes(`/${path.basename(String(word))} `), String(word));
  for (const [, sources] of image.matchAll(/^COPY (?!--from)(.*) \S+$/gm)) {
    for (const source of sources.split(' ').filter((each) => each !== '.')) {
      assert.ok(files.includes(path.posix.relative('infra', source)), source);
    }
  }
});

test('compose: volumes, networks and files that are named are there', () => {
  const [compose] = readYaml('docker/compose.yaml');
  const volumes = Object.keys(at(compose, 'volumes') ?? {});
  for (const mount of all(at(compose, 'services'), 'volumes').flat()) {
    const [source] = String(mount).split(/:(?=\/)/);
    assert.ok(volumes.includes(source) || /^\$\{\w+:-\.\//.test(source), String(mount));
  }
  assert.deepEqual([...new Set(all(at(compose, 'services'), 'networks').flat())], ['run']);
  const build = at(compose, 'services', 'coordinator', 'build');
  const context = path.join(infra, 'docker', String(at(build, 'context')));
  assert.equal(path.relative(root, context), '');
  assert.ok(files.includes(path.relative(infra, path.join(context, String(at(build, 'dockerfile'))))));
});

test('the chart passes Helm’s own linter, and its manifests are those that lie here', {
  skip: without(helm, 'version'),
}, () => {
  const run = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: infra, encoding: 'utf8' });
    assert.equal(status, 0, `${stdout}${stderr}`);
    return stdout;
  };
  const config = ['--set-file', 'config=kubernetes/run.yaml'];
  run(helm, 'lint', '--strict', 'helm/manyhands', ...config);
  const rendered = run(helm, 'template', 'run', 'helm/manyhands', ...config).replace(/[ \t]+$/gm, '');
  assert.equal(read('kubernetes/manyhands.yaml').replace(/^.*\n/, ''), rendered);
  const refused = spawnSync(helm, ['template', 'run', 'helm/manyhands'], { cwd: infra, encoding: 'utf8' });
  assert.match(refused.stderr, /config/, 'a release without a config is refused');
});
