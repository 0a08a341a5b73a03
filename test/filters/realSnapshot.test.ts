import { describe, expect, test } from 'vitest';
import type { ListName } from '../../src/base/objects.ts';
import type { SnapshotView } from '../../src/base/snapshotView.ts';
import { DEFAULT_SNAPSHOT_OPTIONS } from '../../src/base/snapshotView.ts';
import { ConfigMapIndex } from '../../src/engine/filters/configMaps.ts';
import { CsiStorageLedger } from '../../src/engine/filters/csiStorage.ts';
import { HostPortIndex } from '../../src/engine/filters/hostPorts.ts';
import { compileNodeConstraints, nodeConstraintCodesInto } from '../../src/engine/filters/nodeConstraints.ts';
import { PodAffinityIndex } from '../../src/engine/filters/podAffinity.ts';
import { VolumeFilter } from '../../src/engine/filters/volumes.ts';
import { PredicateCode } from '../../src/engine/placement/reasons.ts';
import { createSnapshotWriter } from '../../src/snapshot/writer.ts';

// The filters on a snapshot as the writer makes it, from Kubernetes objects.

const NODES = [
  { metadata: { name: 'a', labels: { zone: 'a', empty: '' } } },
  { metadata: { name: 'b', labels: { zone: 'b' } }, spec: { taints: [{ key: 'gpu', effect: 'NoSchedule' }] } },
];

function seal(objects: Partial<Record<ListName, readonly unknown[]>>): SnapshotView {
  const writer = createSnapshotWriter(DEFAULT_SNAPSHOT_OPTIONS);
  for (const [list, items] of Object.entries({ nodes: NODES, ...objects })) {
    for (const item of items) expect(writer.put(list as ListName, item)).toEqual([]);
  }
  return writer.seal();
}

function pod(name: string, spec: object = {}, labels: object = {}, namespace = 'ns'): object {
  return {
    metadata: { name, namespace, uid: `uid-${name}`, labels },
    spec: { containers: [{ name: 'c' }], ...spec },
    status: { phase: 'Pending' },
  };
}

function rowOf(view: SnapshotView, key: string): number {
  const row = view.pods.keyText.indexOf(view.texts.find(key));
  expect(row).toBeGreaterThanOrEqual(0);
  return row;
}

/** Rows of the nodes a and b. */
function nodeRows(view: SnapshotView): Int32Array {
  return Int32Array.from(['a', 'b'], (name) => view.nodes.nameText.indexOf(view.texts.find(name)));
}

describe('filters on a sealed snapshot', () => {
  test('selector, empty label values, taints', () => {
    const view = seal({
      pods: [
        pod('p', { nodeSelector: { empty: '' } }),
        pod('q', { tolerations: [{ operator: 'Exists' }], nodeSelector: { zone: 'b' } }),
        pod('r', {
          affinity: {
            nodeAffinity: {
              requiredDuringSchedulingIgnoredDuringExecution: {
                nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['a'] }] }],
              },
            },
          },
        }),
      ],
    });
    const codes = ['ns/p', 'ns/q', 'ns/r'].map((key) => {
      const out = new Uint8Array(2);
      nodeConstraintCodesInto(view, compileNodeConstraints(view, view.pods.signatureRow[rowOf(view, key)]!), nodeRows(view), 0, 2, out);
      return [...out];
    });
    const { taint, nodeAffinity } = PredicateCode;
    expect(codes).toEqual([
      [0, taint],
      [nodeAffinity, 0],
      [nodeAffinity, taint],
    ]);
  });

  test('host ports', () => {
    const ports = [{ containerPort: 80, hostPort: 80 }];
    const view = seal({ pods: [pod('p', { containers: [{ name: 'c', ports }] }), pod('q')] });
    const index = new HostPortIndex(view, 2);
    index.add(rowOf(view, 'ns/p'), 1);
    expect([0, 1].map((node) => index.conflicts(rowOf(view, 'ns/p'), node))).toEqual([false, true]);
    expect(index.needs(rowOf(view, 'ns/q'))).toBe(false);
  });

  test('pod affinity with a namespace selector, and its score', () => {
    const term = {
      topologyKey: 'zone',
      labelSelector: { matchLabels: { app: 'web' } },
      namespaceSelector: { matchLabels: { env: 'prod' } },
    };
    const affinity = {
      podAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 7, podAffinityTerm: term }] },
      podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] },
    };
    const view = seal({
      namespaces: [{ metadata: { name: 'prod', labels: { env: 'prod' } } }],
      pods: [pod('p', { affinity }), pod('q', {}, { app: 'web' }, 'prod'), pod('r', {}, { app: 'web' })],
    });
    const index = new PodAffinityIndex(view, nodeRows(view), { scorePreferred: true });
    index.add(rowOf(view, 'prod/q'), 1);
    index.add(rowOf(view, 'ns/r'), 0);
    const prepared = index.prepare(rowOf(view, 'ns/p'));
    expect([0, 1].map((node) => prepared.check(node))).toEqual([0, PredicateCode.podAntiAffinity]);
    const scores = new Float64Array(2);
    expect([index.scoreInto(rowOf(view, 'ns/p'), scores), ...scores]).toEqual([true, 0, 7]);
  });

  test('volumes, storage ledger, config maps', () => {
    const claims = { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] };
    const metadata = { name: 'c', namespace: 'ns', uid: 'u' };
    const nodeTopology = { matchLabels: { zone: 'b' } };
    const view = seal({
      pods: [
        pod('p', claims),
        pod('q', { ...claims, volumes: [{ name: 'e', ephemeral: {} }] }),
        pod('r', { containers: [{ name: 'c', envFrom: [{ configMapRef: { name: 'm' } }] }] }),
      ],
      persistentVolumeClaims: [
        { metadata, spec: { storageClassName: 'wait', resources: { requests: { storage: '5Gi' } } }, status: { phase: 'Pending' } },
      ],
      storageClasses: [{ metadata: { name: 'wait' }, provisioner: 'csi', volumeBindingMode: 'WaitForFirstConsumer' }],
      csiDrivers: [{ metadata: { name: 'csi' }, spec: { storageCapacity: true } }],
      csiStorageCapacities: [
        { metadata: { name: 'x', namespace: 'kube-system' }, storageClassName: 'wait', capacity: '6Gi', nodeTopology },
      ],
      configMaps: [{ metadata: { name: 'other', namespace: 'ns' } }],
    });
    const filter = new VolumeFilter(view);
    const p = rowOf(view, 'ns/p');
    expect(filter.prefilter(p)).toEqual({ result: 'ok' });
    expect(Array.from(nodeRows(view), (row) => filter.check(p, row))).toEqual([PredicateCode.volumeStorage, 0]);
    expect(filter.prefilter(rowOf(view, 'ns/q'))).toMatchObject({ reasons: [expect.stringContaining('"q-e"')] });
    const ledger = new CsiStorageLedger(view, nodeRows(view));
    expect([0, 1].map((node) => ledger.fitsNow(p, node, false))).toEqual([false, true]);
    ledger.add(p, 1, true);
    expect(ledger.fitsNow(p, 1, false)).toBe(false);
    expect(new ConfigMapIndex(view).missing(view.pods.signatureRow[rowOf(view, 'ns/r')]!)).toEqual(['m']);
  });
});
