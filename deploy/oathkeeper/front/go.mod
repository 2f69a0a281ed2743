module eventrunner.example/front

go 1.25.0
