import { expect, test } from 'vitest';
import { ConfigMapIndex } from '../../src/engine/filters/configMaps.ts';
import { fakeView } from './fakeView.ts';

test('missing config maps of the own namespace, sorted', () => {
  const view = fakeView({
    pods: [
      { namespace: 'ml', spec: { namespace: 'ml', configMaps: ['z', 'present', 'a', 'elsewhere'] } },
      { namespace: 'ml', spec: { namespace: 'ml', configMaps: ['present'] } },
      {},
    ],
    objects: [
      { kind: 'configMap', key: 'ml/present' },
      { kind: 'configMap', key: 'other/elsewhere' },
      { kind: 'persistentVolumeClaim', key: 'ml/a', object: {} },
    ],
  });
  const index = new ConfigMapIndex(view);
  expect([0, 1, 2].map((pod) => index.missing(view.pods.signatureRow[pod]!))).toEqual([['a', 'elsewhere', 'z'], [], []]);
});
