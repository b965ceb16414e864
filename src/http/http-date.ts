/** The date in the head of an answer (RFC 9110, 5.6.7), made once a second. */

let made = ''
let madeSecond = 0

/** `now` is a Unix time in milliseconds. */
export function httpDate(now: number): string {
  const second = Math.floor(now / 1000)
  if (second !== madeSecond) {
    madeSecond = second
    made = new Date(second * 1000).toUTCString()
  }
  return made
}
