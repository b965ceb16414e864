/** What is wrong with the configuration, in one sentence for the operator. It stops the start; no caller ever sees it. */

export class CatalogProblem extends Error {
  constructor(sentence: string) {
    super(sentence)
    this.name = 'CatalogProblem'
  }
}

/** `throw problem('models/text.json: …')` is the only way this room refuses its data. */
export const problem = (sentence: string): CatalogProblem => new CatalogProblem(sentence)
