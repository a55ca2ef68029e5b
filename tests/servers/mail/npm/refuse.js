'use strict'
// A Haraka plugin: refuses at each phase what `refuse.json` says, in its words, and takes every recipient otherwise.

const HOOKS = { connect: 'connect', helo: 'ehlo', mail: 'mail', rcpt: 'rcpt', dot: 'data_post' }

function text_of(phase, connection, params) {
    if (phase === 'helo') return params ?? ''
    if (phase === 'mail' || phase === 'rcpt') return params[0].address
    return phase === 'dot' ? connection.transaction.header.get('Subject') : ''
}

exports.register = function () {
    const refusals = this.config.get('refuse.json')
    for (const [phase, hook] of Object.entries(HOOKS)) {
        const mine = refusals.filter((refusal) => refusal.phase === phase)
        this.register_hook(hook, `on_${phase}`)
        this[`on_${phase}`] = (next, connection, params) => {
            const text = text_of(phase, connection, params)
            const refusal = mine.find(({ containing }) => text.includes(containing))
            if (refusal === undefined) return phase === 'rcpt' ? next(OK) : next()
            next(refusal.reply.startsWith('4') ? DENYSOFT : DENY, refusal.reply.slice(4))
        }
    }
}
