// Prints {name: html}: each page of Foundation for Emails, compiled by Inky, below the framework's style sheet.
const fs = require('fs')
const path = require('path')
const { Inky } = require('inky')

const home = path.join(__dirname, 'node_modules', 'foundation-emails')
const framework = fs.readFileSync(path.join(home, 'dist', 'foundation-emails.css'), 'utf8')
const pages = {}
for (const folder of ['templates', path.join('test', 'visual', 'pages')]) {
  for (const file of fs.readdirSync(path.join(home, folder)).sort()) {
    if (!file.endsWith('.html')) continue
    const source = fs.readFileSync(path.join(home, folder, file), 'utf8')
    const page =
      `<!DOCTYPE html><html><head><meta charset="utf-8"><title>A mail</title><style>${framework}</style></head><body>` +
      '<table class="body"><tr><td class="center" align="center" valign="top"><center>' +
      `${source}</center></td></tr></table></body></html>`
    // Pictures would be fetched.
    pages[file.replace('.html', '')] = new Inky({}).releaseTheKraken(page).replace(/<img[^>]*>/g, '<i></i>')
  }
}
process.stdout.write(JSON.stringify(pages))
