import { Environment } from '@marcbachmann/cel-js';
import { describe, expect, test } from 'vitest';
import { celDevice, SelectorCompiler } from '../../src/engine/dra/cel.ts';
import { costProblem } from '../../src/engine/dra/celPattern.ts';
import { rewriteSelector } from '../../src/engine/dra/celRewrite.ts';
import { CelSemver } from '../../src/engine/dra/celTypes.ts';

const GPU = celDevice(
  'gpu.nvidia.com',
  {
    productName: { string: 'NVIDIA H100 80GB' },
    index: { int: 3 },
    isMig: { bool: false },
    driverVersion: { version: '535.104.5' },
    'rack.example.com/name': { string: 'r1' },
  },
  { memory: { value: '80Gi' } },
);

const evaluate = (expression: string): string | boolean => {
  const verdict = new SelectorCompiler(10).evaluate(expression, GPU);
  return verdict.problem === '' ? verdict.matches : verdict.problem;
};

describe('CEL selectors', () => {
  test.each<[string, boolean]>([
    ['device.driver == "gpu.nvidia.com"', true],
    ['device.attributes["gpu.nvidia.com"].index < 4', true],
    ['device.attributes["rack.example.com"].name == "r1"', true],
    ['!device.attributes["gpu.nvidia.com"].isMig', true],
    ['device.attributes["gpu.nvidia.com"].productName.lowerAscii().matches("^.*h100.*$")', true],
    ['device.attributes["gpu.nvidia.com"]["productName"].startsWith("AMD")', false],
    // has() below an index, absent domains, optional syntax.
    ['has(device.attributes["gpu.nvidia.com"].index)', true],
    ['has(device.attributes["gpu.nvidia.com"].nope)', false],
    ['has(device.attributes["nope.example.com"].index)', false],
    ['has( device.capacity [ "gpu.nvidia.com" ] . memory ) && has(device.attributes["gpu.nvidia.com"].index)', true],
    ['"nope.example.com" in device.attributes', false],
    ['"gpu.nvidia.com" in device.attributes', true],
    ['"index" in device.attributes["gpu.nvidia.com"]', true],
    ['"index" in device.attributes["nope.example.com"]', false],
    ['device.attributes["nope.example.com"].?index.orValue(7) == 7', true],
    ['device.attributes[?"nope.example.com"].hasValue()', false],
    ['cel.bind(g, device.attributes["gpu.nvidia.com"], has(g.index) && g.index == 3)', true],
    // Quantities and versions are exact.
    ['device.capacity["gpu.nvidia.com"].memory.compareTo(quantity("40Gi")) >= 0', true],
    ['device.capacity["gpu.nvidia.com"].memory.isLessThan(quantity("80.0000001Gi"))', true],
    ['device.capacity["gpu.nvidia.com"].memory == quantity("81920Mi")', true],
    ['device.capacity["gpu.nvidia.com"].memory != quantity("81920Mi")', false],
    ['device.capacity["gpu.nvidia.com"].memory.sub(quantity("80Gi")).sign() == 0', true],
    ['quantity("1500m").isInteger()', false],
    ['quantity("9223372036854775807").asInteger() == 9223372036854775807', true],
    ['isQuantity("10 apples")', false],
    ['device.attributes["gpu.nvidia.com"].driverVersion.isGreaterThan(semver("535.104.5-rc.1"))', true],
    ['device.attributes["gpu.nvidia.com"].driverVersion.compareTo(semver("535.104.12")) == -1', true],
    ['device.attributes["gpu.nvidia.com"].driverVersion == semver("535.104.5+build.7")', true],
    ['semver("v1.02", true).minor() == 2', true],
    ['isSemver("v1.2")', false],
  ])('%s', (expression, expected) => {
    expect(evaluate(expression)).toBe(expected);
  });

  test.each<[string, RegExp]>([
    ['1', /compile error: must evaluate to bool or the unknown type, not int/],
    ['device.driver == ', /compile error/],
    ['nothing == 1', /compile error/],
    ['device.attributes["nope.example.com"].index == 1', /runtime error: No such key: index/],
    ['device.attributes["gpu.nvidia.com"].nope == 1', /runtime error: No such key: nope/],
    ['device.attributes["gpu.nvidia.com"].productName', /runtime error: the result is not a bool/],
    ['quantity("x").sign() == 0', /runtime error/],
    ['device.driver.matches("(a+)+$")', /runtime error: .*repeated group/],
  ])('fails with a text: %s', (expression, expected) => {
    expect(evaluate(expression)).toMatch(expected);
  });

  test('an attribute of an unknown type fails, whatever is asked', () => {
    const device = celDevice('d', { odd: { strings: ['a'] } }, {});
    expect(new SelectorCompiler(1).evaluate('true', device)).toEqual({
      matches: false,
      problem: 'CEL runtime error: attribute odd: unsupported attribute value',
    });
  });

  test('a full cache changes no result', () => {
    const compiler = new SelectorCompiler(2);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 5; i++) {
        expect(compiler.evaluate(`device.attributes["gpu.nvidia.com"].index == ${i}`, GPU).matches).toBe(i === 3);
      }
    }
  });

  test('rewriting leaves other expressions as they are', () => {
    const expression = '[1, 2].exists(i, i == 2) && {"a": 1}["a"] == 1 // [x].matches';
    expect(rewriteSelector(new Environment(), expression)).toBe('[1, 2].exists(i, i == 2) && {"a": 1}["a"] == 1');
  });
});

test('prerelease order of semantic versions', () => {
  const ascending = [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
  ];
  const versions = ascending.map((v) => CelSemver.parse(v, false)!);
  for (let i = 0; i < versions.length; i++) {
    for (let k = 0; k < versions.length; k++) expect(versions[i]!.compareTo(versions[k]!)).toBe(BigInt(Math.sign(i - k)));
  }
  expect(CelSemver.parse('1.0.0-01', false)).toBeNull();
});

test('costly patterns are refused, common ones are not', () => {
  for (const p of ['^NVIDIA.*H100.*$', '(A100|H100)', 'H[0-9]+', '^535\\.\\d+', 'a{2,4}', '(?:ab)+c', '[(+*]{3}', 'x??y*?']) {
    expect([p, costProblem(p)]).toEqual([p, '']);
  }
  for (const p of ['(a+)+', '(a|a)*', '((a*)b)*', '.*.*.*.*x', '(a)\\1', '(?=a)b', 'a{1000}', '(a?){30}']) {
    expect([p, costProblem(p) !== '']).toEqual([p, true]);
  }
});
