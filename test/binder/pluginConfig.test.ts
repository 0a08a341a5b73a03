import { describe, expect, it } from 'vitest';
import { parseBinderPlugins } from '../../src/binder/pluginConfig.ts';

describe('the plugins of the binder (spec 07 section 6.13)', () => {
  it("have upstream's defaults", () => {
    expect(parseBinderPlugins('')).toEqual([
      { name: 'volumebinding', bindTimeoutMs: 120_000 },
      { name: 'dynamicresources', bindTimeoutMs: 120_000 },
      { name: 'gpusharing', isCdiEnabled: false },
    ]);
  });

  it('follow the worked example', () => {
    const given = {
      dynamicresources: { priority: 400 },
      volumebinding: { arguments: { bindTimeoutSeconds: '60' } },
      hamicore: { enabled: true },
    };
    expect(parseBinderPlugins(JSON.stringify(given))).toEqual([
      { name: 'dynamicresources', bindTimeoutMs: 120_000 },
      { name: 'volumebinding', bindTimeoutMs: 60_000 },
      { name: 'gpusharing', isCdiEnabled: false },
      { name: 'hamicore' },
    ]);
  });

  it('go by name where priorities are equal, and can be left out', () => {
    const given = { dynamicresources: { priority: 300 }, gpusharing: { enabled: false } };
    expect(parseBinderPlugins(JSON.stringify(given)).map(({ name }) => name)).toEqual(['dynamicresources', 'volumebinding']);
  });

  it.each([
    ['{', 'no JSON'],
    ['[]', 'must be a map'],
    ['{"other":{}}', 'failed to get binder plugin other'],
    ['{"gpusharing":{"arguments":{}}}', 'failed to build binder plugin gpusharing: missing argument "cdiEnabled"'],
    ['{"gpusharing":{"arguments":{"cdiEnabled":"yes"}}}', 'failed to build binder plugin gpusharing: invalid argument "cdiEnabled"="yes"'],
    ['{"volumebinding":{"arguments":{"bindTimeoutSeconds":"2m"}}}', 'invalid argument "bindTimeoutSeconds"="2m"'],
    ['{"volumebinding":{"priority":"high"}}', '"priority" must be an integer'],
    ['{"hamicore":{"enabled":true},"gpusharing":{"enabled":false}}', '"hamicore" plugin requires "gpusharing" plugin to be enabled'],
    [
      '{"hamicore":{"enabled":true,"priority":100}}',
      '"hamicore" plugin requires "gpusharing" to run before it (expected "gpusharing".priority > "hamicore".priority, got 100 <= 100)',
    ],
  ])('are refused: %s', (json, text) => {
    expect(() => parseBinderPlugins(json)).toThrow(text);
  });
});
