'use strict'
// npm's smtp-server as a relay that passes everything on. Usage: node smtp-server.js OPTIONS_FILE (JSON).

const fs = require('node:fs')
const nodemailer = require('nodemailer')
const { SMTPServer } = require('smtp-server')

const options = JSON.parse(fs.readFileSync(process.argv[2]))
const sink = nodemailer.createTransport({
    host: '127.0.0.1', port: options.sink, pool: true, maxConnections: 20, ignoreTLS: true,
})

function refused(phase, text) {
    const refusal = options.refusals.find((one) => one.phase === phase && text.includes(one.containing))
    if (refusal === undefined) return null
    return Object.assign(new Error(refusal.reply.slice(4)), { responseCode: Number(refusal.reply.slice(0, 3)) })
}

function pass_on(chunks, envelope) {
    const raw = Buffer.concat(chunks)
    return sink.sendMail({ envelope: { from: envelope.mailFrom.address, to: envelope.rcptTo.map((to) => to.address) }, raw })
}

const server = new SMTPServer({
    name: 'mail.test',
    size: options.size ?? undefined,
    maxClients: options.connections ?? undefined,
    authOptional: options.login === null,
    allowInsecureAuth: true,
    authMethods: ['PLAIN', 'LOGIN'],
    disabledCommands: [...(options.certificate ? [] : ['STARTTLS']), ...(options.login ? [] : ['AUTH'])],
    hideSMTPUTF8: options.smtputf8 === false,
    cert: options.certificate ? fs.readFileSync(options.certificate[0]) : undefined,
    key: options.certificate ? fs.readFileSync(options.certificate[1]) : undefined,
    onConnect: (session, done) => done(refused('connect', '')),
    onAuth: ({ username, password }, session, done) =>
        username === options.login[0] && password === options.login[1]
            ? done(null, { user: username })
            : done(new Error('Invalid username or password')),
    onMailFrom: (address, session, done) => done(refused('mail', address.address)),
    onRcptTo: (address, session, done) => done(refused('rcpt', address.address)),
    onData: (stream, session, done) => {
        const chunks = []
        stream.on('data', (chunk) => chunks.push(chunk))
        stream.on('end', () => {
            const subject = /^Subject: (.*)$/m.exec(Buffer.concat(chunks).toString())?.[1] ?? ''
            const refusal = refused('dot', subject)
            if (refusal) return done(refusal)
            pass_on(chunks, session.envelope).then(() => done(null, '2.0.0 queued'), done)
        })
    },
})
server.on('error', (error) => console.error(error.message))
server.listen(options.port, '127.0.0.1')
