// Regular expressions of selectors come from users. RE2, which Kubernetes uses, never backtracks; JavaScript does, so
// only patterns whose matching is cheap on a device's short texts are accepted, and only short texts.

/** Attribute values have at most 64 characters, driver names 63. */
const MAX_SUBJECT = 256;
const MAX_UNBOUNDED = 3;
const MAX_REPEAT = 64;

/** Whether the text contains a match. Throws for patterns that are malformed or too costly. */
export function matchesPattern(subject: string, pattern: string): boolean {
  if (subject.length > MAX_SUBJECT) throw new Error(`text of ${subject.length} characters is too long to match`);
  const problem = costProblem(pattern);
  if (problem !== '') throw new Error(`regular expression ${JSON.stringify(pattern)}: ${problem}`);
  const isCaseless = pattern.startsWith('(?i)');
  return new RegExp(isCaseless ? pattern.slice(4) : pattern, isCaseless ? 'iu' : 'u').test(subject);
}

/** '' when matching takes at most about |text|^3 steps; else why not. */
export function costProblem(pattern: string): string {
  const hasChoice: boolean[] = [];
  let unbounded = 0;
  let isGroupWithChoice = false;
  for (let at = pattern.startsWith('(?i)') ? 4 : 0; at < pattern.length; at++) {
    const c = pattern[at]!;
    const isAfterGroup = isGroupWithChoice;
    isGroupWithChoice = false;
    if (c === '\\') {
      at++;
      if (/[1-9k]/.test(pattern[at] ?? '')) return 'back references are not supported';
    } else if (c === '[') {
      at = endOfClass(pattern, at);
    } else if (c === '(') {
      if (/^\(\?(?:[=!]|<[=!])/.test(pattern.slice(at, at + 4))) return 'look-around is not supported';
      hasChoice.push(false);
      // The mark of a group without number is no quantifier.
      if (pattern[at + 1] === '?') at++;
    } else if (c === ')') {
      isGroupWithChoice = hasChoice.pop() ?? false;
      // A repetition inside a group is one inside the group around it too.
      if (isGroupWithChoice && hasChoice.length > 0) hasChoice[hasChoice.length - 1] = true;
    } else if (c === '|') {
      if (hasChoice.length > 0) hasChoice[hasChoice.length - 1] = true;
    } else {
      const most = repetitionAt(pattern, at);
      if (most === 0) continue;
      if (most > MAX_REPEAT && most !== Infinity) return `repetition of more than ${MAX_REPEAT}`;
      if (isAfterGroup && most > 1) return 'a repeated group that holds a choice or a repetition is not supported';
      if (most === Infinity && ++unbounded > MAX_UNBOUNDED) return `more than ${MAX_UNBOUNDED} unbounded repetitions`;
      if (most > 1 && most !== Infinity && ++unbounded > MAX_UNBOUNDED) return `more than ${MAX_UNBOUNDED} repetitions`;
      if (hasChoice.length > 0) hasChoice[hasChoice.length - 1] = true;
    }
  }
  return '';
}

/** Largest count of the quantifier that stands at `at`; 0 = none stands there. Exact counts {n} are no choice but count. */
function repetitionAt(pattern: string, at: number): number {
  const c = pattern[at];
  if (c === '*' || c === '+') return Infinity;
  if (c === '?') return '*+?}'.includes(pattern[at - 1] ?? '*') ? 0 : 1;
  if (c !== '{') return 0;
  const match = /^\{(\d+)(,(\d*))?\}/.exec(pattern.slice(at, at + 16));
  if (match === null) return 0;
  return match[2] === undefined ? Number(match[1]) : match[3] === '' ? Infinity : Number(match[3]);
}

function endOfClass(pattern: string, from: number): number {
  for (let at = from + 1; at < pattern.length; at++) {
    if (pattern[at] === '\\') at++;
    else if (pattern[at] === ']' && at > from + 1) return at;
  }
  return pattern.length;
}
