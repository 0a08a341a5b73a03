/** An error a person can act on: what was wrong, where, what to do. `code` is stable and may be tested. */
export class KaiError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'KaiError';
    this.code = code;
  }
}

/** One defect of one input object; the object or field was skipped, the rest was used. */
export interface ObjectProblem {
  /** File or other source, '' when there is none. */
  readonly source: string;
  /** Kind, and namespace/name as far as known. */
  readonly object: string;
  /** Path of the field, '' for the whole object. */
  readonly field: string;
  readonly message: string;
}

/** `file: Kind ns/name: field: what is wrong` */
export function formatProblem(p: ObjectProblem): string {
  return [p.source, p.object, p.field, p.message].filter((s) => s !== '').join(': ');
}
