from gdkreg.cli.app import main

main()
